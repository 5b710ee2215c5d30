import { TenantryError } from '../../errors.ts';
import { type Classification, type Decisions, hasTenant } from '../classify.ts';
import type { ForeignKey, Inspection, TableName } from '../inspection.ts';
import { factsOf, keysTo, once } from '../lookups.ts';
import { resolveDecisions } from './resolve.ts';
import type { RowDecisions } from './types.ts';

/** Adds to each table with a tenant what is decided about its rows. A constant tenant leaves nothing to decide. */
export function withRules(
  inspection: Inspection,
  decisions: Decisions,
  classes: readonly Classification[],
): Classification[] {
  if (decisions.constant !== undefined) return [...classes];
  const decidedFor = (table: TableName): RowDecisions => rowDecisions(decisions.tables?.[table] ?? {});
  const usersOf = usedBy(inspection, classes, decidedFor);
  return classes.map((classification) => {
    const { table, class: kind, via, checks } = classification;
    const decided = decidedFor(table);
    const facts = factsOf(inspection, table);
    if (!hasTenant(kind) || facts === undefined) {
      if (kind !== 'undecided') refuseWithoutTenant(table, kind, decided);
      return classification;
    }
    const ways = {
      table,
      via,
      checks,
      usedBy: usersOf.get(table) ?? incoming(inspection, classes, table),
      root: decisions.root,
    };
    const byUse = usersOf.has(table);
    const rule = resolveDecisions(ways, facts, decided, (parent) => ({
      decision: decidedFor(parent).sharedRows,
      byUse: usersOf.has(parent),
    }));
    if (kind === 'root') refuseForRoot(table, decided);
    const reason = byUse ? 'its rows belong to the tenants that use them' : classification.reason;
    return { ...classification, reason, decided, rule: byUse ? rule : { ...rule, usedBy: [] } };
  });
}

/** The part of a table's decisions that is about its rows. */
export function rowDecisions({ conflicts, rows, orphans, sharedRows }: RowDecisions): RowDecisions {
  return {
    ...(conflicts === undefined ? {} : { conflicts }),
    ...(rows === undefined ? {} : { rows }),
    ...(orphans === undefined ? {} : { orphans }),
    ...(sharedRows === undefined ? {} : { sharedRows }),
  };
}

/** Tables without a way of their own that belong to whoever uses them: only where a person said so. */
function usedBy(
  inspection: Inspection,
  classes: readonly Classification[],
  decidedFor: (table: TableName) => RowDecisions,
): Map<TableName, ForeignKey[]> {
  const result = new Map<TableName, ForeignKey[]>();
  for (const { table, class: kind, via } of classes) {
    const { sharedRows } = decidedFor(table);
    if (!hasTenant(kind) || kind === 'root' || via.length > 0 || sharedRows === undefined) continue;
    if (sharedRows === 'share')
      fail(
        table,
        'shared_rows: share is what class shared means; a table without a way to the root cannot be owned and shared',
      );
    const keys = incoming(inspection, classes, table);
    if (keys.length > 0) result.set(table, keys);
  }
  return result;
}

const classesOf = once((classes: readonly Classification[]) => new Map(classes.map((c) => [c.table, c.class])));

function incoming(inspection: Inspection, classes: readonly Classification[], table: TableName): ForeignKey[] {
  const classOf = classesOf(classes);
  return keysTo(inspection.foreignKeys, table).filter(
    (key) => key.table !== table && key.when === undefined && hasTenant(classOf.get(key.table)),
  );
}

function refuseWithoutTenant(table: TableName, kind: string, decided: RowDecisions): void {
  if (kind === 'shared' && (decided.sharedRows === 'share' || decided.sharedRows === 'stop')) return;
  const [field] = Object.keys(decided).map((name) => (name === 'sharedRows' ? 'shared_rows' : name));
  if (field === undefined) return;
  fail(table, `${field}: ${table} has class ${kind}, so its rows have no tenant to decide about; give it class owned`);
}

function refuseForRoot(table: TableName, decided: RowDecisions): void {
  const values = typeof decided.conflicts === 'string' ? [decided.conflicts] : Object.values(decided.conflicts ?? {});
  const wrong =
    decided.rows !== undefined
      ? 'rows'
      : decided.orphans !== undefined
        ? 'orphans'
        : decided.sharedRows !== undefined
          ? 'shared_rows'
          : values.includes('quarantine')
            ? 'conflicts: quarantine'
            : undefined;
  if (wrong !== undefined) fail(table, `${wrong}: the rows of the root are the tenants; they always have one`);
}

function fail(table: TableName, message: string): never {
  throw new TenantryError('TNT_PLAN_INVALID', `tables.${table}.${message}.`);
}
