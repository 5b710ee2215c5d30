import { describe, expect, test } from 'vitest';
import type { TenantryError } from '../errors.ts';
import type { UsageFacts } from './data-facts.ts';
import type { ForeignKey, Inspection, TableFacts } from './inspection.ts';
import { type PlanDecisions, planAdoption, slugOf } from './plan.ts';
import { proposeRoots } from './roots.ts';
import { objectName } from './steps/names.ts';

function table(name: string, more: Partial<TableFacts> = {}): TableFacts {
  const column = (of: string) => ({ name: of, type: 'bigint', notNull: true, hasDefault: false, generated: false });
  return {
    name: `public.${name}`,
    schema: 'public',
    table: name,
    kind: 'table',
    partitions: [],
    inherits: [],
    owner: 'app',
    rows: 10,
    bytes: 8192,
    indexes: 1,
    columns: [column('id')],
    primaryKey: ['id'],
    uniques: [],
    rowSecurity: 'off',
    unlogged: false,
    ...more,
  };
}

function key(from: string, columns: string, to: string, more: Partial<ForeignKey> = {}): ForeignKey {
  return {
    name: `${from}_${columns}_fkey`,
    table: `public.${from}`,
    columns: columns.split(','),
    parent: `public.${to}`,
    parentColumns: columns.split(',').map(() => 'id'),
    nullable: false,
    deferrable: false,
    validated: true,
    onDelete: 'no action',
    onUpdate: 'no action',
    ...more,
  };
}

function inspection(tables: readonly TableFacts[], foreignKeys: readonly ForeignKey[]): Inspection {
  return {
    database: 'app',
    login: 'admin',
    serverVersion: 180000,
    tables,
    foreignKeys,
    triggers: [],
    views: [],
    functions: [],
    sequences: [],
    schemas: [{ name: 'public', owner: 'app', usedBy: ['tenantry_app', 'tenantry_owner'] }],
    extensionTables: [],
    foreignTables: [],
    published: [],
  };
}

const refusal = (found: Inspection, decisions: PlanDecisions): string => {
  try {
    planAdoption(found, decisions);
  } catch (error) {
    expect((error as TenantryError).code).toBe('TNT_PLAN_INVALID');
    return (error as TenantryError).message;
  }
  return 'not refused';
};

const shop = inspection(
  [
    table('shops'),
    table('orders'),
    table('notes'),
    table('currencies'),
    table('rates'),
    table('settings'),
    table('knex_migrations'),
    table('old_orders', { inherits: ['public.orders'] }),
    table('labels', { primaryKey: ['order_id', 'note_id'] }),
  ],
  [
    key('orders', 'shop_id', 'shops'),
    key('orders', 'currency', 'currencies'),
    key('notes', 'order_id', 'orders', { nullable: true }),
    key('notes', 'parent_id', 'notes', { nullable: true }),
    key('rates', 'currency', 'currencies'),
    key('labels', 'order_id', 'orders'),
    key('labels', 'note_id', 'notes'),
  ],
);
const usage = new Map<string, UsageFacts>([['public.currencies', { used: 5, byMany: 4 }]]);

describe('classification', () => {
  const classes = (facts: ReadonlyMap<string, UsageFacts>): Record<string, string> =>
    Object.fromEntries(
      planAdoption(shop, { root: 'public.shops' }, facts).tables.map((t) => [t.name, `${t.class} ${t.confidence}`]),
    );

  test('what can be told is told, the rest is undecided', () => {
    expect(classes(usage)).toEqual({
      shops: 'root decided',
      orders: 'owned high',
      notes: 'owned medium',
      currencies: 'shared high',
      rates: 'shared medium',
      settings: 'undecided low',
      knex_migrations: 'shared high',
      old_orders: 'undecided low',
      labels: 'join high',
    });
  });

  test('a table whose rows are used by one tenant each is not called shared', () => {
    for (const facts of [
      { used: 100, byMany: 3 },
      { used: 0, byMany: 0 },
    ]) {
      expect(classes(new Map([['public.currencies', facts]]))).toMatchObject({
        currencies: 'undecided low',
        rates: 'undecided low',
      });
    }
  });

  test('what hangs on a table without a tenant is undecided as well', () => {
    const plan = planAdoption(shop, { root: 'public.shops', tables: { 'public.orders': { class: 'shared' } } }, usage);
    expect(Object.fromEntries(plan.tables.map((t) => [t.name, t.class]))).toMatchObject({
      orders: 'shared',
      notes: 'undecided',
      labels: 'undecided',
    });
    expect(plan.tables.find((t) => t.name === 'notes')?.reason).toContain('leads through public.orders');
  });

  test('a constant tenant takes every table but the history of tools', () => {
    const plan = planAdoption(shop, { constant: 'System Tenant', tables: { 'public.rates': { class: 'shared' } } });
    expect(Object.fromEntries(plan.tables.map((t) => [t.name, t.class]))).toEqual({
      shops: 'owned',
      orders: 'owned',
      notes: 'owned',
      currencies: 'owned',
      rates: 'shared',
      settings: 'owned',
      knex_migrations: 'shared',
      old_orders: 'owned',
      labels: 'owned',
    });
    expect(plan.constant).toEqual({ name: 'System Tenant', key: 'system-tenant' });
  });

  test('the same input gives the same plan, statement for statement', () => {
    const decisions = { root: 'public.shops' };
    expect(planAdoption(shop, decisions, usage)).toEqual(planAdoption(shop, decisions, usage));
  });

  test('a unique key that refers to a tenant’s row stays, another is proposed per tenant where it can be made beside', () => {
    const unique = (name: string, columns: string[], partial = false) => ({
      name,
      columns,
      constraint: true,
      partial,
      deferrable: false,
      ...(partial
        ? {}
        : {
            definition: {
              tail: `${columns.join(', ')})`,
              keys: columns,
              where: null,
              referencedBy: [],
              pinned: null,
              clustered: false,
              comment: null,
              constraintComment: null,
            },
          }),
    });
    const found = inspection(
      [
        table('shops'),
        table('orders', {
          uniques: [unique('a', ['shop_id', 'no']), unique('b', ['slug']), unique('c', ['mail'], true)],
        }),
      ],
      [key('orders', 'shop_id', 'shops')],
    );
    const uniques = planAdoption(found, { root: 'public.shops' }).tables[1]?.uniques;
    expect(uniques?.map((u) => [u.name, u.proposal])).toEqual([
      ['a', 'global'],
      ['b', 'per-tenant'],
      ['c', 'global'],
    ]);
    expect(uniques?.[2]?.reason).toContain('by hand');
  });
});

describe('roots', () => {
  test('the table that most hang on, that is called like a tenant and hangs on nothing, comes first', () => {
    const roots = proposeRoots(shop);
    expect(roots[0]).toMatchObject({ table: 'public.shops', reaches: 3 });
    expect(roots[0]?.reasons.join('; ')).toContain('tenants are often called "shops"');
    expect(roots.find((root) => root.table === 'public.orders')?.reasons.join('; ')).toContain(
      'it hangs on public.shops',
    );
    expect(roots.map((root) => root.score)).toEqual(roots.map((root) => root.score).toSorted((a, b) => b - a));
  });
});

describe('decisions that contradict each other or the database', () => {
  test('each is named', () => {
    expect(refusal(shop, { root: 'public.shops', constant: 'One' })).toContain('one of them');
    expect(refusal(shop, { root: 'public.shops', nameColumn: 'title' })).toContain('no column title');
    expect(refusal(shop, { root: 'public.shops', column: 'id' })).toContain('already has a column id');
    expect(refusal(shop, { root: 'public.shops', tables: { 'public.orders': { class: 'root' } } })).toContain(
      'has class root, but the root is public.shops',
    );
    expect(refusal(shop, { root: 'public.shops', tables: { 'public.settings': { class: 'owned' } } })).toContain(
      'no foreign key leads',
    );
    expect(refusal(shop, { root: 'public.shops', tables: { 'public.orders': { via: ['nothing'] } } })).toContain(
      'no foreign key on (nothing)',
    );
    expect(
      refusal(shop, { root: 'public.shops', tables: { 'public.notes': { class: 'owned', via: ['parent_id'] } } }),
    ).toContain('a circle');
  });
});

describe('names', () => {
  test('fit 63 bytes and differ where what they stand for does', () => {
    const long = 'a_table_whose_name_is_as_long_as_postgresql_lets_a_name_be_long';
    const names = [
      objectName(long, 'tenant_id', 'idx'),
      objectName(`${long.slice(0, -1)}x`, 'tenant_id', 'idx'),
      objectName('ünï'.repeat(16), 'tenant_id', 'fkey'),
    ];
    for (const name of names) expect(Buffer.byteLength(name)).toBeLessThanOrEqual(63);
    expect(new Set(names).size).toBe(3);
    expect(slugOf('Ünternehmen & Söhne!')).toBe('nternehmen-s-hne');
    expect(slugOf('§')).toBe('tenant');
  });
});
