import { ident, literal, type Statement } from '../../database/sql.ts';
import { wrongBySql } from '../decisions/by-columns.ts';
import { isRuled, keyIn, rowText } from '../decisions/rule.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey } from '../inspection.ts';
import type { CheckStep, Phase, Plan, TablePlan } from '../plan-types.ts';
import { organizationKey } from '../key-text.ts';
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
    if (table.required === 'never')
      checks.push(
        finding(table, `${ownRows(table)} t`, `t.${column} is null`, 'rows without a key, and so without a tenant'),
      );
    checks.push(
      finding(
        table,
        `${ownRows(table)} t left join tenantry.organizations o on o.id = t.${column}`,
        `o.key is distinct from ${organizationKey('t', plan.keys[table.table] ?? [])}`,
        'rows whose organization has another key',
      ),
    );
  }
  const held = plan.keys[table.table];
  if (plan.mapping !== null && held !== undefined) {
    const key = organizationKey('t', held);
    const rows = `${ownRows(table)} t`;
    if (table.rule?.orphans === 'stop')
      checks.push(finding(table, rows, `t.${column} is null`, 'rows without a tenant: no organization has their key'));
    if (!isRuled(table.rule))
      checks.push(
        finding(
          table,
          `${rows} join tenantry.organizations o on o.key = ${key}`,
          `t.${column} is distinct from o.id`,
          'rows whose organization has another key',
        ),
      );
  }
  const first = firstWay(table.via);
  if (table.via.length > 0 && isRuled(table.rule)) checks.push(asDecided(plan, table));
  else for (const key of first) checks.push(agreement(plan, table, key));
  for (const { key, decision } of table.rule?.ways ?? table.checks.map((check) => ({ key: check, decision: 'stop' }))) {
    if (decision === 'stop' && !first.includes(key)) checks.push(agreement(plan, table, key));
  }
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

/** Where decisions lead some rows elsewhere, all of them are compared with the decisions. */
function asDecided(plan: Plan, table: TablePlan): Statement {
  const { joins, condition } = wrongBySql(plan, table);
  const ways = [...new Set(table.via.map((key) => key.parent))].join(', ');
  return finding(
    table,
    `${ownRows(table)} t ${joins.join(' ')}`,
    condition,
    `rows whose tenant is not what is decided for them (by ${ways})`,
  );
}

export function agreement(plan: Plan, table: TablePlan, key: ForeignKey): Statement {
  const column = ident(plan.column);
  return finding(
    table,
    `${ownRows(table)} t join ${parentRows(key)} p on ${joinCondition(key, 't', 'p')}`,
    disagrees(plan, table, key, column),
    `rows whose tenant is not that of ${key.parent} (by ${keyLabel(key)})`,
  );
}

function disagrees(plan: Plan, table: TablePlan, key: ForeignKey, column: string): string {
  const parent = plan.tables.find((t) => t.table === key.parent);
  const rows = table.rule?.rows.map((row) => row.key) ?? [];
  const single = rows.length === 0 ? '' : ` and not (${keyIn(rowText('t', table), rows)})`;
  // in quarantine there is nothing to agree with, on either side
  if (!table.via.includes(key) && (table.required === 'never' || parent?.required === 'never'))
    return `t.${column} <> p.${column}${single}`;
  const known = parent?.required === 'never' ? `p.${column} is not null and ` : '';
  return `${known}t.${column} is distinct from p.${column}${single}`;
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
