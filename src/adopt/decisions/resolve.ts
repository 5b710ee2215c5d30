import { TenantryError } from '../../errors.ts';
import { keyLabel } from '../graph.ts';
import type { ForeignKey, TableFacts, TableName } from '../inspection.ts';
import type { ConflictDecision, RowDecisions, TableRule, WayDecision } from './types.ts';

export interface Ways {
  readonly table: TableName;
  readonly via: readonly ForeignKey[];
  readonly checks: readonly ForeignKey[];
  readonly usedBy: readonly ForeignKey[];
  readonly root: TableName | undefined;
}

/**
 * Looks up every name in the decisions for one table.
 *
 * @throws TNT_PLAN_INVALID when one names what is not there, or asks for what cannot be done
 */
export function resolveDecisions(
  ways: Ways,
  facts: TableFacts,
  decided: RowDecisions,
  sharedRowsOf: (table: TableName) => { decision: RowDecisions['sharedRows']; byUse: boolean },
): TableRule {
  const { table, via, checks, usedBy } = ways;
  const others = [...via.slice(1), ...checks];
  const fail = (message: string): never => {
    throw new TenantryError('TNT_PLAN_INVALID', `tables.${table}.${message}.`);
  };
  const labels = others.map(keyLabel);
  const known = labels.length === 0 ? 'it has no other way' : `its other ways are ${quoted(labels)}`;
  const perWay = conflictsByWay(decided.conflicts, (label) => {
    if (!labels.includes(label)) fail(`conflicts: "${label}" is no other way of ${table}; ${known}`);
  });
  const rows = Object.entries(decided.rows ?? {}).map(([key, label]) => {
    if (!/^\(.*\)$/s.test(key)) fail(`rows: "${key}" is no key; write it as verify lists it: "(17)"`);
    if (label === 'quarantine') return { key, way: null };
    const way = [...via, ...checks].find((k) => keyLabel(k) === label);
    return {
      key,
      way:
        way ??
        fail(
          `rows: "${label}" is neither quarantine nor a way of ${table} (${quoted([...via, ...checks].map(keyLabel))})`,
        ),
    };
  });
  const sharedRows = decided.sharedRows ?? 'stop';
  const needsKey = rows.length > 0 ? 'rows' : sharedRows === 'duplicate' ? 'shared_rows: duplicate' : undefined;
  if (needsKey !== undefined && facts.primaryKey.length === 0)
    fail(`${needsKey}: ${table} has no primary key to tell its rows apart`);
  if (sharedRows === 'quarantine' && via.length > 0)
    fail(
      'shared_rows: quarantine is for tables without a way of their own; quarantine the rows that refer to them: conflicts: quarantine',
    );
  const decisions = others.map((key) => ({
    key,
    decision: decisionFor(key, perWay(keyLabel(key)), sharedRowsOf(key.parent)),
  }));
  if (sharedRows === 'duplicate') {
    refuseUncopyable(ways, facts, fail);
    const open = decisions.find(({ decision }) => decision === 'stop' || decision === 'quarantine');
    if (open !== undefined)
      fail(
        `shared_rows: duplicate: a copy would refer by ${keyLabel(open.key)} to the row of another tenant in ${open.key.parent}; give that table shared_rows: duplicate too, or ${table} conflicts: {"${keyLabel(open.key)}": via}`,
      );
  }
  return {
    ways: decisions,
    rows,
    orphans: decided.orphans ?? 'stop',
    sharedRows,
    usedBy,
    keyTypes: facts.primaryKey.map((name) => facts.columns.find((c) => c.name === name)?.type ?? 'text'),
  };
}

const quoted = (labels: readonly string[]): string => labels.map((label) => `"${label}"`).join(', ');

function conflictsByWay(
  conflicts: RowDecisions['conflicts'],
  check: (label: string) => void,
): (label: string) => ConflictDecision | undefined {
  if (conflicts === undefined || typeof conflicts === 'string') return () => conflicts;
  const byLabel = new Map<string, ConflictDecision>();
  for (const [name, decision] of Object.entries(conflicts)) {
    // `staff_id → customer_id`: the way, and the one that wins over it, for the reader
    const label = (name.split(/\s*(?:→|->)\s*/)[0] ?? name).trim();
    check(label);
    byLabel.set(label, decision);
  }
  return (label) => byLabel.get(label);
}

function decisionFor(
  key: ForeignKey,
  own: ConflictDecision | undefined,
  parent: { decision: RowDecisions['sharedRows']; byUse: boolean },
): WayDecision {
  if (own !== undefined && own !== 'stop') return own;
  if (parent.decision === 'duplicate' && key.parent !== key.table) return 'duplicate';
  // a row that nobody may have alone has no tenant: nothing to agree with
  if (parent.decision === 'share' || (parent.decision === 'quarantine' && parent.byUse)) return 'via';
  return own ?? 'stop';
}

/** Copies need a key that the database makes, and nothing in them may lead to the tenant of the original. */
function refuseUncopyable(
  { table, via, usedBy, root }: Ways,
  facts: TableFacts,
  fail: (message: string) => never,
): void {
  const [key] = facts.primaryKey;
  const column = facts.columns.find((c) => c.name === key);
  if (facts.primaryKey.length !== 1 || column === undefined)
    fail(
      `shared_rows: duplicate: the key of ${table} has ${facts.primaryKey.length} columns; only a key of one column can be made anew for a copy`,
    );
  else if (!column.hasDefault)
    fail(
      `shared_rows: duplicate: ${table}.${column.name} has no default; a copy needs a new key from a sequence, an identity or a uuid function`,
    );
  const elsewhere = usedBy.find((k) => k.parentColumns.join() !== key);
  if (elsewhere !== undefined)
    fail(
      `shared_rows: duplicate: ${elsewhere.table} refers to ${table} by (${elsewhere.parentColumns.join(', ')}), which is not its primary key`,
    );
  const [way] = via;
  if (via.length > 1 || (way !== undefined && way.parent !== root))
    fail(
      `shared_rows: duplicate: ${table} gets its tenant from ${way?.parent ?? ''}; a copy can belong to another tenant only where the way leads to the root at once`,
    );
}
