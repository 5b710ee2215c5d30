import type { ForeignKey, TableFacts, TableName, UniqueFacts } from '../inspection.ts';
import { keysOf } from '../lookups.ts';
import type { UniqueDecision, UniquePlan } from '../plan-types.ts';
import { readColumns } from '../references/notation.ts';

/** What is wrong with one decision about keys, without the place where it stands. */
export class KeyProblem extends Error {
  override readonly name = 'KeyProblem';
  /** The entry, below the table's. */
  readonly path: readonly string[];
  constructor(path: readonly string[], message: string) {
    super(message);
    this.path = path;
  }
}

export type UniqueDecisions = Readonly<Record<string, UniqueDecision>>;

/**
 * What becomes of each unique key of a table with a tenant: proposed, and what a person decided. "Re-scope if and only if no column is
 * a foreign key" agreed with 90 % of a large product's decisions; nothing is done without one.
 *
 * @throws KeyProblem
 */
export function planUniques(
  foreignKeys: readonly ForeignKey[],
  table: TableFacts,
  isRoot: boolean,
  decided: UniqueDecisions = {},
): UniquePlan[] {
  const parents = new Map(keysOf(foreignKeys, table.name).flatMap((key) => key.columns.map((c) => [c, key.parent])));
  const present = table.uniques.map((unique): UniquePlan => {
    const obstacle = obstacleOf(table, unique);
    return {
      name: unique.name,
      columns: unique.columns,
      ...propose(unique, parents, isRoot, obstacle),
      decided: null,
      obstacle,
      constraint: unique.constraint,
      definition: unique.definition ?? null,
    };
  });
  return decideUniques(present, table, decided);
}

/** @throws KeyProblem */
export function decideUniques(
  present: readonly UniquePlan[],
  table: TableFacts,
  decided: UniqueDecisions = {},
): UniquePlan[] {
  const known = present.map((unique) => ({ ...unique, decided: decided[unique.name] ?? null }));
  const added = Object.entries(decided).flatMap(([name, decision]) => {
    if (present.some((unique) => unique.name === name)) return [];
    const names = present.map((unique) => unique.name);
    return [addedUnique(table, names, name, decision)];
  });
  for (const { name, decided: decision, obstacle } of known)
    if (decision === 'per-tenant' && obstacle !== null)
      throw new KeyProblem(['uniques', name], `${name} of ${table.name} cannot become per tenant: ${obstacle}`);
  return [...known, ...added];
}

function propose(
  unique: UniqueFacts,
  parents: ReadonlyMap<string, TableName>,
  isRoot: boolean,
  obstacle: string | null,
): Pick<UniquePlan, 'proposal' | 'reason'> {
  const foreign = unique.columns.find((column) => parents.has(column));
  if (isRoot) return { proposal: 'global', reason: 'its rows are the tenants: the value tells them apart' };
  if (foreign !== undefined)
    return {
      proposal: 'global',
      reason: `${foreign} refers to ${parents.get(foreign) ?? ''}: values of two tenants cannot collide`,
    };
  const why = 'two tenants may want the same value, and a refused duplicate tells one tenant what another has';
  return obstacle === null
    ? { proposal: 'per-tenant', reason: why }
    : { proposal: 'global', reason: `${why}; but ${obstacle}, so re-create it by hand with the tenant in front` };
}

function obstacleOf(table: TableFacts, { deferrable, definition }: UniqueFacts): string | null {
  if (table.kind === 'partitioned') return 'an index of a partitioned table cannot be made concurrently';
  if (deferrable) return 'it is deferrable, and an index made beside it cannot be';
  if (definition == null) return 'its definition cannot be taken apart';
  if (definition.referencedBy.length > 0) return `foreign keys of ${definition.referencedBy.join(', ')} need it`;
  return definition.pinned;
}

/** A key that is not there yet: unique per tenant from tighten on. */
function addedUnique(table: TableFacts, known: readonly string[], name: string, decision: UniqueDecision): UniquePlan {
  const fail = (message: string): never => {
    throw new KeyProblem(['uniques', name], message);
  };
  const columns = /^\(.*\)$/s.test(name) ? readColumns(`t${name}`)?.columns : undefined;
  if (columns === undefined)
    return fail(
      `${name} is no unique key of ${table.name}; ${known.length === 0 ? 'it has none' : `it has ${known.join(', ')}`}. A new one is written by its columns: "(number)"`,
    );
  const missing = columns.find((column) => !table.columns.some((c) => c.name === column));
  if (missing !== undefined) fail(`${table.name} has no column ${missing}`);
  if (decision === 'global') fail(`${name} is not there; only per-tenant makes a key`);
  if (table.kind === 'partitioned')
    fail(`${table.name} is partitioned: an index of it cannot be made concurrently, so make it by hand`);
  return {
    name,
    columns,
    proposal: 'per-tenant',
    reason: 'a new key',
    decided: 'per-tenant',
    obstacle: null,
    constraint: false,
    definition: null,
  };
}
