import { ident, qualifiedName } from '../../database/sql.ts';
import { hasTenant } from '../drafts.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey, TableName } from '../inspection.ts';
import type { IndexStep, Plan, Step, TablePlan } from '../plan-types.ts';
import { objectName } from '../steps/names.ts';
import { foreignKeySteps, isPartitioned } from '../steps/tighten.ts';
import { KeyProblem } from './judge.ts';

/** The foreign keys of a table that carry the tenant from tighten on. */
export function compositeKeysOf(table: TablePlan): ForeignKey[] {
  return [...table.via, ...table.checks].filter((key) => table.compositeKeys.includes(keyLabel(key)));
}

/**
 * Refuses keys that cannot carry the tenant: a row could break one by what the plan itself decides.
 *
 * @throws KeyProblem
 */
export function checkCompositeKeys(tables: readonly TablePlan[], table: TablePlan): void {
  const ways = [...table.via, ...table.checks];
  for (const [i, label] of table.compositeKeys.entries()) {
    const fail = (message: string): never => {
      throw new KeyProblem(['composite_keys', String(i)], `${label} of ${table.table} ${message}`);
    };
    const key = ways.find((way) => keyLabel(way) === label);
    if (key === undefined)
      return fail(
        `is no foreign key to rows of tenants; those are ${ways.length === 0 ? 'none' : ways.map((way) => `"${keyLabel(way)}"`).join(', ')}`,
      );
    const obstacle = obstacleOf(tables, table, key);
    if (obstacle !== null) fail(`cannot carry the tenant: ${obstacle}`);
  }
}

function obstacleOf(tables: readonly TablePlan[], table: TablePlan, key: ForeignKey): string | null {
  const parent = tables.find((other) => other.table === key.parent);
  if (parent === undefined || !hasTenant(parent.class)) return `${key.parent} has no tenant`;
  if (key.confirmed === true) return 'no constraint declares it; make the foreign key first';
  if (key.onPartitions !== undefined) return 'only partitions declare it';
  if (isPartitioned(parent)) return `${key.parent} is partitioned: an index of it cannot be made concurrently`;
  if ([table, parent].some((one) => one.inherited || one.inherits.length > 0))
    return 'a foreign key does not reach rows of tables that inherit';
  if ((table.rule?.rows.length ?? 0) > 0) return 'single rows are decided, so that its two ends may differ';
  const decision = table.rule?.ways.find((way) => keyLabel(way.key) === keyLabel(key))?.decision ?? 'stop';
  if (decision !== 'stop') return `its conflicts are decided (${decision}), so that its two ends may differ`;
  if (parent.rule?.sharedRows === 'duplicate')
    return `rows of ${key.parent} are copied per tenant when enforcement begins`;
  if (parent.required === 'never' && !(table.via.length === 1 && table.via[0] === key))
    return `rows of ${key.parent} may have no tenant`;
  return null;
}

/** Unique keys of the parents with the tenant in front, then the foreign keys onto them. */
export function planCompositeKeys(plan: Plan): Step[] {
  const byName = new Map(plan.tables.map((table) => [table.table, table]));
  const targets = new Map<string, IndexStep>();
  const keys: Step[] = [];
  for (const table of plan.order.flatMap((name: TableName) => byName.get(name) ?? [])) {
    for (const key of compositeKeysOf(table)) {
      const parent = byName.get(key.parent);
      if (parent === undefined) continue;
      const target = targetOf(plan, parent, key);
      targets.set(target.id, target);
      keys.push(...reference(plan, table, key));
    }
  }
  return [...targets.values(), ...keys];
}

function targetOf(plan: Plan, parent: TablePlan, key: ForeignKey): IndexStep {
  const name = objectName(`${parent.name}_${key.parentColumns.join('_')}`, plan.column, 'key');
  const index = qualifiedName(parent.schema, name);
  const columns = [plan.column, ...key.parentColumns];
  return {
    id: `tighten/${parent.table}/target/${key.parentColumns.join(',')}`,
    phase: 'tighten',
    table: parent.table,
    kind: 'index',
    optional: true,
    unique: true,
    index,
    relation: parent.table,
    columns,
    up: [
      {
        purpose: 'what foreign keys with the tenant refer to',
        text: `create unique index concurrently ${ident(name)} on ${parent.table} (${columns.map(ident).join(', ')})`,
        outsideTransaction: true,
      },
    ],
    down: [{ purpose: 'as before', text: `drop index concurrently if exists ${index}`, outsideTransaction: true }],
  };
}

/**
 * Judged at commit: a row that moves takes those that hang on it along in the same transaction, and the key that is there goes on
 * deciding what a delete does. A reference to another tenant's row is refused at once all the same, by the trigger.
 */
function reference(plan: Plan, table: TablePlan, key: ForeignKey): Step[] {
  const list = (columns: readonly string[]): string => [plan.column, ...columns].map(ident).join(', ');
  return foreignKeySteps(table, {
    id: `composite/${keyLabel(key)}`,
    name: objectName(`${table.name}_${key.columns.join('_')}`, plan.column, 'fkey'),
    references: `foreign key (${list(key.columns)}) references ${key.parent} (${list(key.parentColumns)}) deferrable initially deferred`,
    purpose: `a row of ${key.parent} and those that refer to it have one tenant`,
  }).map((step) => ({ ...step, optional: true }));
}
