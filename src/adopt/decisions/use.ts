import { ident, type Statement } from '../../database/sql.ts';
import { keyColumns, keyLabel } from '../graph.ts';
import type { ForeignKey } from '../inspection.ts';
import type { Plan, Step, TablePlan } from '../plan-types.ts';
import { functionName, orphansFunction, triggerNames } from '../steps/names.ts';
import { triggerFunction } from '../steps/trigger-function.ts';
import { joinCondition, keyPresent } from '../tenant-sql.ts';
import { organizationSlug } from './rule.ts';

const backfilling = `pg_catalog.current_setting('app.adopt_backfill', true)`;

/** True for tables without a way of their own: their rows belong to the tenants that use them. */
export function isByUse(table: TablePlan): boolean {
  return table.via.length === 0 && (table.rule?.usedBy.length ?? 0) > 0;
}

function usedTables(plan: Plan, user: TablePlan): { table: TablePlan; key: ForeignKey }[] {
  return plan.tables
    .filter(isByUse)
    .flatMap((table) =>
      (table.rule?.usedBy ?? []).filter((key) => key.table === user.table).map((key) => ({ table, key })),
    );
}

/** On a table whose rows use others: what it refers to belongs to its tenant from then on, if it belonged to nobody. */
export function planUse(plan: Plan, user: TablePlan): { readonly up: Statement[]; readonly down: Statement[] } {
  const used = usedTables(plan, user);
  if (used.length === 0) return { up: [], down: [] };
  const column = ident(plan.column);
  const changed = [...new Set([plan.column, ...used.flatMap(({ key }) => keyColumns(key))])]
    .map((c) => `new.${ident(c)} is distinct from old.${ident(c)}`)
    .join(' or ');
  const name = functionName('use', user.table);
  const claims = used.map(
    ({ table, key }) => `  if ${keyPresent(key, 'new')} then
    update ${rowsOf(table)} t set ${claim(plan, table, 'new')} where ${joinCondition(key, 'new', 't')} and ${open(plan, table, 'new')};
  end if;\n`,
  );
  const claiming = triggerFunction('use', user, `begin\n${claims.join('')}  return null;\nend `);
  const { useInsert, useUpdate } = triggerNames;
  const when = `new.${column} is not null and ${backfilling} is distinct from 'on'`;
  return {
    up: [
      ...claiming.up,
      {
        purpose: 'what a new row refers to gets its tenant',
        text: `create or replace trigger ${useInsert} after insert on ${user.table} for each row when (${when}) execute function ${name}()`,
      },
      {
        purpose: 'and what a row is pointed to',
        text: `create or replace trigger ${useUpdate} after update on ${user.table} for each row when (${when} and (${changed})) execute function ${name}()`,
      },
    ],
    down: [
      ...[useInsert, useUpdate].map((trigger) => ({
        purpose: 'as before',
        text: `drop trigger if exists ${trigger} on ${user.table}`,
      })),
      ...claiming.down,
    ],
  };
}

const rowsOf = (table: TablePlan): string => `${table.inherited ? 'only ' : ''}${table.table}`;

/** The first tenant that uses a row keeps it; with quarantine, only a row that nobody else uses has a tenant. */
function claim(plan: Plan, table: TablePlan, user: string): string {
  const column = ident(plan.column);
  return `${column} = ${claimed(plan, table, user)}`;
}

function claimed(plan: Plan, table: TablePlan, user: string): string {
  const column = ident(plan.column);
  if (table.rule?.sharedRows !== 'quarantine') return `${user}.${column}`;
  const others = table.rule.usedBy.map(
    (key) =>
      `exists (select from ${key.table} u where ${joinCondition(key, 'u', 't')} and u.${column} <> ${user}.${column})`,
  );
  return `case when ${others.join(' or ')} then null else ${user}.${column} end`;
}

function open(plan: Plan, table: TablePlan, user: string): string {
  const column = `t.${ident(plan.column)}`;
  return table.rule?.sharedRows === 'quarantine'
    ? `${column} is distinct from (${claimed(plan, table, user)})`
    : `${column} is null`;
}

/** Fills a table by the rows that use it: pages of each user, so that every look-up is by the key. */
export function planClaims(plan: Plan, table: TablePlan): Step[] {
  const column = ident(plan.column);
  const byName = new Map(plan.tables.map((t) => [t.table, t]));
  const base = { phase: 'backfill', table: table.table } as const;
  const steps = (table.rule?.usedBy ?? []).flatMap((key) =>
    (byName.get(key.table)?.leaves ?? []).map((leaf): Step => {
      return {
        ...base,
        kind: 'backfill',
        id: `backfill/${table.table}/used/${leaf}/${keyLabel(key)}`,
        relation: leaf,
        up: [
          {
            purpose: `${plan.column} of ${table.table}, by the rows of ${leaf} that use it`,
            text: `update ${rowsOf(table)} t set ${claim(plan, table, 'c')} from only ${leaf} c where ${pageWindow('c')} and ${joinCondition(key, 'c', 't')} and c.${column} is not null and ${open(plan, table, 'c')}`,
          },
        ],
        down: [],
      };
    }),
  );
  const slug = organizationSlug(table.rule?.orphans ?? 'stop');
  if (slug !== undefined)
    steps.push({
      ...base,
      kind: 'transaction',
      id: `backfill/${table.table}/unused`,
      long: true,
      up: [
        {
          purpose: `rows that nobody uses belong to "${slug}"`,
          text: `update ${rowsOf(table)} t set ${column} = ${orphansFunction(slug)}() where t.${column} is null`,
        },
      ],
      down: [],
    });
  return steps;
}

/** One stripe of a window of pages, as a backfill asks for it. */
export function pageWindow(alias: string): string {
  return `${alias}.ctid >= pg_catalog.format('(%s,0)', $1::bigint)::pg_catalog.tid and ${alias}.ctid < pg_catalog.format('(%s,0)', $2::bigint)::pg_catalog.tid and pg_catalog.mod(((${alias}.ctid::text::point)[1])::int, $3::int) = $4::int`;
}
