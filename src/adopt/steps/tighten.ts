import { ident, type Statement } from '../../database/sql.ts';
import { planGuard } from '../decisions/guard.ts';
import type { TableName } from '../inspection.ts';
import type { Plan, Step, TablePlan, TransactionStep } from '../plan-types.ts';
import { indexName, objectName } from './names.ts';

/** Index, NOT NULL and foreign key, each in the form that never holds a lock while it reads the table. */
export function planTighten(plan: Plan, table: TablePlan): Step[] {
  return [
    ...planIndexes(plan, table),
    ...planNotNull(plan, table),
    ...planGuard(plan, table),
    ...planForeignKey(plan, table),
    planStatistics(plan, table),
  ];
}

/**
 * Without it the planner takes a column that it has never seen for a choosy one, and a policy would draw queries away from the
 * index of their own condition.
 */
function planStatistics(plan: Plan, table: TablePlan): TransactionStep {
  return {
    id: `tighten/${table.table}/statistics`,
    phase: 'tighten',
    table: table.table,
    kind: 'transaction',
    long: true,
    up: [
      {
        purpose: 'tell the planner how many tenants there are, and how large: reads a sample, stops nobody',
        text: `analyze ${table.table} (${ident(plan.column)})`,
      },
    ],
    down: [],
  };
}

const split = (name: TableName): { schema: string; table: string } => {
  const parts = [...name.matchAll(/"((?:[^"]|"")*)"|([^."]+)/g)].map((m) => m[1]?.replaceAll('""', '"') ?? m[2] ?? '');
  return { schema: parts[0] ?? '', table: parts[1] ?? '' };
};

function planIndexes(plan: Plan, table: TablePlan): Step[] {
  const column = ident(plan.column);
  const rest = table.primaryKey.filter((c) => c !== plan.column).map(ident);
  const columns = [column, ...rest].join(', ');
  const base = { phase: 'tighten', table: table.table } as const;
  const steps: Step[] = table.leaves.map((leaf) => {
    const { schema, table: relation } = split(leaf);
    const name = objectName(relation, plan.column, 'idx');
    const index = indexName(schema, relation, plan.column);
    return {
      ...base,
      kind: 'index',
      id: `tighten/${leaf}/index`,
      index,
      relation: leaf,
      columns: [plan.column, ...table.primaryKey.filter((c) => c !== plan.column)],
      up: [
        {
          purpose: `the tenant leads an index of ${leaf}: a policy is then an index condition`,
          text: `create index concurrently ${ident(name)} on ${leaf} (${columns})`,
          outsideTransaction: true,
        },
      ],
      // an index of a partitioned parent takes its partitions' with it, so this one may be gone already
      down: [{ purpose: 'as before', text: `drop index concurrently if exists ${index}`, outsideTransaction: true }],
    };
  });
  if (isPartitioned(table)) {
    const name = objectName(table.name, plan.column, 'idx');
    steps.push({
      ...base,
      kind: 'transaction',
      id: `tighten/${table.table}/index`,
      up: [
        {
          purpose: 'the same for partitions to come; those that are there have theirs, so nothing is built',
          text: `create index ${ident(name)} on ${table.table} (${columns})`,
        },
      ],
      down: [
        { purpose: 'as before', text: `drop index if exists ${indexName(table.schema, table.name, plan.column)}` },
      ],
    });
  }
  return steps;
}

function planNotNull(plan: Plan, table: TablePlan): Step[] {
  if (plan.constant !== null || table.required !== 'at once') return [];
  const column = ident(plan.column);
  const check = ident(objectName(table.name, plan.column, 'present'));
  // NOT NULL would bind every table that inherits, and could not be taken back there: each of them has its own check
  const family = table.inherited || table.inherits.length > 0;
  const step = (name: string, up: Statement[], down: Statement[], long = false): TransactionStep => ({
    id: `tighten/${table.table}/${name}`,
    phase: 'tighten',
    table: table.table,
    kind: 'transaction',
    up,
    down,
    long,
  });
  return [
    step(
      'sweep',
      [
        {
          // the index just built waited for every older snapshot: what is null now was written by none that still runs
          purpose: 'rows written by transactions that were older than the triggers',
          text: `update ${table.inherited ? 'only ' : ''}${table.table} set ${column} = null where ${column} is null`,
        },
      ],
      [],
    ),
    step(
      'check',
      [
        {
          purpose: 'from here on no row without a tenant can be written',
          text: `alter table ${table.table} add constraint ${check} check (${column} is not null)${family ? ' no inherit' : ''} not valid`,
        },
      ],
      [{ purpose: 'as before', text: `alter table ${table.table} drop constraint if exists ${check}` }],
    ),
    step(
      'validate-check',
      [
        {
          purpose: 'reads the table, stops nobody',
          text: `alter table ${table.table} validate constraint ${check}`,
        },
      ],
      [],
      true,
    ),
    ...(family ? [] : [notNull(step, table, column, check)]),
  ];
}

function notNull(
  step: (name: string, up: Statement[], down: Statement[]) => TransactionStep,
  table: TablePlan,
  column: string,
  check: string,
): TransactionStep {
  return step(
    'not-null',
    [
      {
        purpose: 'proven by the check, so the table is not read again',
        text: `alter table ${table.table} alter column ${column} set not null`,
      },
      {
        purpose: 'the check has done its work',
        text: `alter table ${table.table} drop constraint ${check}`,
      },
    ],
    [{ purpose: 'as before', text: `alter table ${table.table} alter column ${column} drop not null` }],
  );
}

function planForeignKey(plan: Plan, table: TablePlan): Step[] {
  return foreignKeySteps(table, {
    name: objectName(table.name, plan.column, 'fkey'),
    references: `foreign key (${ident(plan.column)}) references tenantry.organizations (id)`,
    purpose: 'a tenant is an organization',
  });
}

/** A foreign key that is made without reading the table, and then validated without stopping anybody. */
export function foreignKeySteps(
  table: TablePlan,
  {
    id,
    name,
    references,
    purpose,
  }: {
    /** Tells it from the key to organizations. */
    readonly id?: string;
    readonly name: string;
    readonly references: string;
    readonly purpose: string;
  },
): TransactionStep[] {
  const key = ident(name);
  const suffix = id === undefined ? '' : `/${id}`;
  const base = { phase: 'tighten', table: table.table, kind: 'transaction' } as const;
  // PostgreSQL 15 to 17 refuse NOT VALID on a partitioned table: the partitions first, the parent then finds theirs
  const steps = table.leaves.flatMap((leaf): TransactionStep[] => [
    {
      ...base,
      id: `tighten/${leaf}/foreign-key${suffix}`,
      up: [
        {
          purpose,
          text: `alter table ${leaf} add constraint ${key} ${references} not valid`,
        },
      ],
      // dropped with the parent's, where there is one
      down: [{ purpose: 'as before', text: `alter table ${leaf} drop constraint if exists ${key}` }],
    },
    {
      ...base,
      id: `tighten/${leaf}/validate-foreign-key${suffix}`,
      long: true,
      up: [{ purpose: 'reads the table, stops nobody', text: `alter table ${leaf} validate constraint ${key}` }],
      down: [],
    },
  ]);
  if (!isPartitioned(table)) return steps;
  return [
    ...steps,
    {
      ...base,
      id: `tighten/${table.table}/foreign-key${suffix}`,
      up: [
        {
          purpose: 'the same for partitions to come',
          text: `alter table ${table.table} add constraint ${key} ${references}`,
        },
      ],
      down: [{ purpose: 'as before', text: `alter table ${table.table} drop constraint if exists ${key}` }],
    },
  ];
}

export function isPartitioned(table: TablePlan): boolean {
  return table.leaves.length !== 1 || table.leaves[0] !== table.table;
}
