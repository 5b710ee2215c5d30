import { ident, literal, type Statement } from '../../database/sql.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey } from '../inspection.ts';
import type { CheckStep, Phase, Plan, TablePlan } from '../plan-types.ts';
import { joinCondition, parentRows, rootKeyText } from '../tenant-sql.ts';

/** Most keys of findings that a check lists; the count is exact all the same. */
const listed = 20;

/**
 * What must be true of every row: a tenant where one is required, and the tenant of its parent on every key, also on those it
 * was not derived from. Each statement returns one row of `finding, rows, keys` for a fault and none without.
 */
export function planVerify(plan: Plan, table: TablePlan, phase: Phase = 'verify'): CheckStep[] {
  if (plan.constant !== null) return [];
  const column = ident(plan.column);
  const checks: Statement[] = [];
  if (table.required !== 'never') {
    checks.push(finding(table, `${ownRows(table)} t`, `t.${column} is null`, 'rows without a tenant'));
  }
  if (table.class === 'root') {
    checks.push(
      finding(
        table,
        `${ownRows(table)} t left join tenantry.organizations o on o.id = t.${column}`,
        `o.key is distinct from ${rootKeyText('t', plan.root?.key ?? [])}`,
        'rows whose organization has another key',
      ),
    );
  }
  for (const key of [...firstWay(table.via), ...table.checks]) checks.push(agreement(plan, table, key));
  return checks.map((statement, i) => ({
    id: `${phase}/${table.table}/${i + 1}`,
    phase,
    table: table.table,
    kind: 'check',
    up: [statement],
    down: [],
  }));
}

/** The way that counts first: of a polymorphic pair all its targets, each for its own rows. */
export function firstWay(via: readonly ForeignKey[]): ForeignKey[] {
  const first = via[0];
  return first === undefined
    ? []
    : via.filter((key) => key === first || (key.when && keyLabel(key) === keyLabel(first)));
}

/** A table's own rows: those of tables that inherit from it are checked there. */
export function ownRows(table: Pick<TablePlan, 'table' | 'inherited'>): string {
  return table.inherited ? `only ${table.table}` : table.table;
}

function agreement(plan: Plan, table: TablePlan, key: ForeignKey): Statement {
  const column = ident(plan.column);
  return finding(
    table,
    `${ownRows(table)} t join ${parentRows(key)} p on ${joinCondition(key, 't', 'p')}`,
    `t.${column} is distinct from p.${column}`,
    `rows whose tenant is not that of ${key.parent} (by ${keyLabel(key)})`,
  );
}

function finding(table: TablePlan, from: string, where: string, what: string): Statement {
  const key = rowKey(table, 't');
  return {
    purpose: `${table.table}: ${what}`,
    text: `select ${literal(what)} as finding, count(*)::float8 as rows, (array_agg(${key}))[1:${listed}] as keys from ${from} where ${where} having count(*) > 0`,
  };
}

/** The key of a row as text; where there is no primary key, its place. */
export function rowKey(table: Pick<TablePlan, 'primaryKey'>, alias: string): string {
  return table.primaryKey.length === 0 ? `${alias}.ctid::text` : rootKeyText(alias, table.primaryKey);
}
