import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isMap, parseDocument } from 'yaml';
import { TenantryError } from '../errors.ts';
import type { TableDecision } from './classify.ts';
import type { ForeignKey, Inspection, TableFacts } from './inspection.ts';
import { type PlanDecisions, planAdoption } from './plan.ts';
import { readPlanFile, writePlanFile } from './plan-file.ts';
import type { FoundReference, Plan } from './plan-types.ts';

function table(name: string, columns: Record<string, string>, primaryKey = ['id']): TableFacts {
  return {
    name: `public.${name}`,
    schema: 'public',
    table: name.replaceAll('"', ''),
    kind: 'table',
    partitions: [],
    inherits: [],
    owner: 'app',
    rows: 10,
    bytes: 8192,
    indexes: 1,
    columns: Object.entries(columns).map(([of, type]) => ({
      name: of,
      type,
      baseType: type,
      notNull: primaryKey.includes(of),
      hasDefault: false,
      generated: false,
    })),
    primaryKey,
    uniques: [],
    rowSecurity: 'off',
    unlogged: false,
  };
}

function key(from: string, columns: string, to: string, nullable = false): ForeignKey {
  return {
    name: `${from}_${columns}_fkey`,
    table: `public.${from}`,
    columns: columns.split(','),
    parent: `public.${to}`,
    parentColumns: columns.split(',').map(() => 'id'),
    nullable,
    deferrable: false,
    validated: true,
    onDelete: 'no action',
    onUpdate: 'no action',
  };
}

const id = { id: 'bigint' };
const found: Inspection = {
  database: 'app',
  login: 'admin',
  serverVersion: 180000,
  tables: [
    table('shops', { ...id, name: 'text' }),
    table('orders', { ...id, shop_id: 'bigint', customer_id: 'bigint' }),
    table('customers', { ...id, shop_id: 'bigint' }),
    table('notes', { ...id, order_id: 'bigint', customer_id: 'bigint' }),
    table('comments', { ...id, owner_type: 'text', owner_id: 'bigint' }),
    table('"Order, (log)"', { ...id, 'a, "b"': 'bigint' }),
    table('currencies', id),
    table('settings', id),
  ],
  foreignKeys: [
    key('orders', 'shop_id', 'shops'),
    key('orders', 'customer_id', 'customers'),
    key('customers', 'shop_id', 'shops'),
    key('notes', 'order_id', 'orders', true),
    key('notes', 'customer_id', 'customers', true),
  ],
  triggers: [],
  views: [],
  functions: [],
  sequences: [],
  schemas: [{ name: 'public', owner: 'app', usedBy: ['tenantry_app', 'tenantry_owner'] }],
  extensionTables: [],
  foreignTables: [],
  published: [],
};

const logged = { from: 'public."Order, (log)"("a, ""b""")', to: 'public.orders(id)' };
const owned = {
  from: 'public.comments(owner_type, owner_id)',
  to: { Order: 'public.orders(id)', 'Cust: "x"': 'public.customers(id)' },
};
const offer = (reference: typeof logged | typeof owned): FoundReference => ({
  ...reference,
  table: reference.from.slice(0, reference.from.indexOf('(')),
  columns: [],
  confidence: 'high',
  reason: 'all 5 different values looked at are there',
  sampled: 5,
  found: 5,
});

const tables: fc.Arbitrary<Record<string, TableDecision>> = fc.record(
  {
    'public.orders': fc.constantFrom<TableDecision>(
      { class: 'owned' },
      { via: ['customer_id'] },
      { class: 'owned', via: ['shop_id', 'customer_id'] },
    ),
    'public.notes': fc.constantFrom<TableDecision>(
      { class: 'owned', via: ['customer_id', 'order_id'] },
      { class: 'shared' },
      { orphans: 'quarantine' },
    ),
    'public.currencies': fc.constantFrom<TableDecision>({ class: 'shared' }, {}),
    'public.settings': fc.constantFrom<TableDecision>({ class: 'shared' }, {}),
  },
  { requiredKeys: [] },
);
const decisions: fc.Arbitrary<PlanDecisions> = fc.record({
  column: fc.constantFrom('tenant_id', 'org id', 'select'),
  root: fc.constant('public.shops'),
  references: fc.subarray([logged, owned]),
  tables,
});
const planOf = (wanted: PlanDecisions): Plan =>
  planAdoption(
    found,
    wanted,
    new Map(),
    [logged, owned].filter((r) => !wanted.references?.some((known) => known.from === r.from)).map(offer),
  );

const refusal = (text: string): TenantryError => {
  try {
    readPlanFile(text, found);
  } catch (error) {
    if (error instanceof TenantryError) return error;
    throw error;
  }
  throw new Error('not refused');
};

describe('the plan file', () => {
  test('is read as it was written: the same plan, statement for statement, and the same text', () => {
    fc.assert(
      fc.property(decisions, (wanted) => {
        const plan = planOf(wanted);
        const text = writePlanFile(plan);
        const again = planOf(readPlanFile(text, found));
        expect(again.steps).toEqual(plan.steps);
        expect(writePlanFile(again)).toBe(text);
      }),
      { numRuns: 20 },
    );
  });

  test('says the same whatever the order of its tables, and without its comments', () => {
    fc.assert(
      fc.property(decisions, fc.array(fc.nat(), { minLength: 8, maxLength: 8 }), (wanted, order) => {
        const text = writePlanFile(planOf(wanted));
        const document = parseDocument(text);
        const list = document.get('tables');
        if (!isMap(list)) throw new Error('no tables');
        list.items = list.items
          .map((item, i) => ({ item, rank: order[i] ?? 0 }))
          .toSorted((a, b) => a.rank - b.rank)
          .map(({ item }) => item);
        const bare = parseDocument(text).toJS() as unknown;
        const shuffled = readPlanFile(document.toString(), found);
        expect(writePlanFile(planOf(shuffled))).toBe(text);
        expect(writePlanFile(planOf(readPlanFile(JSON.stringify(bare), found)))).toBe(text);
      }),
      { numRuns: 12 },
    );
  });

  test('keeps an edit: what a person changes is decided, and nothing else', () => {
    fc.assert(
      fc.property(decisions, fc.constantFrom('public.settings', 'public.currencies'), (wanted, name) => {
        const document = parseDocument(writePlanFile(planOf(wanted)));
        const before = planOf(wanted);
        document.setIn(['tables', name, 'class'], 'shared');
        const after = planOf(readPlanFile(document.toString(), found));
        expect(after.tables.find((t) => t.table === name)?.class).toBe('shared');
        const others = (plan: Plan): unknown =>
          plan.tables.filter((t) => t.table !== name).map((t) => [t.table, t.class, t.via, t.decided]);
        expect(others(after)).toEqual(others(before));
        expect(writePlanFile(planOf(readPlanFile(writePlanFile(after), found)))).toBe(writePlanFile(after));
      }),
      { numRuns: 12 },
    );
  });

  test('a line taken away or spoiled is read or refused with its line, never another error', () => {
    const text = writePlanFile(planOf({ root: 'public.shops', references: [logged, owned] }));
    const count = text.split('\n').length;
    fc.assert(
      fc.property(
        fc.nat({ max: count - 1 }),
        fc.option(fc.string({ maxLength: 12 }), { nil: undefined }),
        (at, spoiled) => {
          const lines = text.split('\n');
          lines.splice(at, 1, ...(spoiled === undefined ? [] : [spoiled]));
          try {
            readPlanFile(lines.join('\n'), found);
          } catch (error) {
            expect(error).toBeInstanceOf(TenantryError);
            const { code, message } = error as TenantryError;
            expect(['TNT_PLAN_INVALID', 'TNT_PLAN_DRIFTED']).toContain(code);
            if (code === 'TNT_PLAN_INVALID') {
              const line = Number(/^Line (\d+) of the plan/.exec(message)?.[1]);
              expect(line).toBeGreaterThan(0);
              expect(line).toBeLessThanOrEqual(count + 1);
            }
          }
        },
      ),
      { numRuns: 120 },
    );
  });
});

describe('references in the plan file', () => {
  const undecided = planOf({ root: 'public.shops' });

  test('are offered as comments with confidence and reason, and assumed by nobody', () => {
    const text = writePlanFile(undecided);
    expect(text).toContain('#   # high: all 5 different values looked at are there');
    expect(readPlanFile(text, found).references).toEqual([]);
    expect(undecided.tables.find((t) => t.table === 'public.comments')?.class).toBe('undecided');
  });

  test('become ways when their lines are uncommented, and tables that were undecided by them are told', () => {
    const lines = writePlanFile(undecided).split('\n');
    const from = lines.findIndex((line) => line.trim() === '# references:');
    expect(from).toBeGreaterThan(0);
    const text = lines
      .map((line, i) => (i >= from && line.startsWith('#') ? line.replace(/^# ?/, '') : line))
      .join('\n');
    const plan = planOf(readPlanFile(text, found));
    expect(plan.references).toEqual([logged, owned]);
    expect(plan.tables.find((t) => t.table === 'public.comments')).toMatchObject({
      class: 'owned',
      confidence: 'medium',
    });
    expect(plan.tables.find((t) => t.table === 'public."Order, (log)"')?.via[0]).toMatchObject({
      parent: 'public.orders',
      confirmed: true,
    });
    expect(plan.steps.filter((step) => step.up.some(({ text: sql }) => sql.includes('references "public"')))).toEqual(
      [],
    );
  });

  test('what is wrong with one is said with its line', () => {
    const file = (entry: string): string =>
      [
        'version: 1',
        'root: {table: public.shops}',
        'references:',
        '  - {from: "public.comments(owner_id)", to: "public.orders(id)"}',
        `  - ${entry}`,
      ].join('\n');
    for (const [entry, message] of [
      ['{from: "public.notes", to: "public.orders(id)"}', 'from must look like public.orders(id), not public.notes'],
      ['{from: "public.gone(id)", to: "public.orders(id)"}', 'there is no table public.gone'],
      [
        '{from: "public.settings(order)", to: "public.orders(id)"}',
        'public.settings has no column order; its columns are id',
      ],
      ['{from: "public.settings(id)", to: "public.orders(shop_id)"}', 'public.orders(shop_id) is not unique'],
      ['{from: "public.settings(id)", to: "public.shops(name)"}', 'public.shops(name) is not unique'],
      ['{from: "public.notes(order_id)", to: "public.orders(id)"}', 'it is a key to public.orders already'],
      ['{from: "public.comments(owner_id)", to: "public.orders(id)"}', 'it is a key to public.orders already'],
      ['{from: "public.comments(owner_type)", to: {Order: "public.orders(id)"}}', 'a polymorphic pair has two columns'],
      ['{from: "public.comments(owner_type, owner_id)", to: {}}', 'names no table'],
      ['{from: "public.comments(owner_type, owner_id)", to: "public.orders(id)"}', '2 columns cannot refer to 1'],
    ] as const) {
      const error = refusal(file(entry));
      expect(error.code).toBe('TNT_PLAN_INVALID');
      expect(error.message, entry).toContain('Line 5 of the plan');
      expect(error.message, entry).toContain(message);
    }
    expect(refusal(file('{from: "public.notes(order_id)"}')).message).toContain('Line 5 of the plan: references.1.to');
    expect(
      refusal(
        `${file('{from: "public.settings(id)", to: "public.orders(id)"}')}\ntables: {public.notes: {class: owned, via: [nothing]}}`,
      ).code,
    ).toBe('TNT_PLAN_DRIFTED');
  });
});
