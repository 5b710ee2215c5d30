import { TenantryError } from '../../errors.ts';
import type { ForeignKey, Inspection, TableFacts } from '../inspection.ts';
import { factsOf, isInherited } from '../lookups.ts';
import type { ReferenceDecision } from '../plan-types.ts';
import { conversionOf } from './comparable.ts';
import { type ColumnsOfTable, readColumns } from './notation.ts';

/** What is wrong with one reference of a plan, without the place where it stands. */
export class ReferenceProblem extends Error {
  override readonly name = 'ReferenceProblem';
}

const fail = (message: string): never => {
  throw new ReferenceProblem(message);
};

/**
 * The inspection with confirmed references among its keys: from there on nothing tells them from declared ones but their mark.
 *
 * @throws TNT_PLAN_INVALID when one names what is not there
 */
export function withReferences(inspection: Inspection, references: readonly ReferenceDecision[] = []): Inspection {
  if (references.length === 0) return inspection;
  const keys = [...inspection.foreignKeys];
  for (const reference of references) {
    try {
      keys.push(...confirmReference(inspection, keys, reference));
    } catch (error) {
      if (!(error instanceof ReferenceProblem)) throw error;
      throw new TenantryError('TNT_PLAN_INVALID', `Reference ${reference.from}: ${error.message}.`, { cause: error });
    }
  }
  return { ...inspection, foreignKeys: keys };
}

/**
 * The ways that one confirmed reference gives: one, or of a polymorphic pair one for each target.
 *
 * @throws ReferenceProblem
 */
export function confirmReference(
  inspection: Inspection,
  known: readonly ForeignKey[],
  { from, to }: ReferenceDecision,
): ForeignKey[] {
  const { facts, columns } = locate(inspection, from, 'from');
  if (typeof to === 'string') {
    const key = wayTo(inspection, facts, columns, to);
    if (known.some((k) => k.table === key.table && k.parent === key.parent && sameColumns(k, key)))
      fail(`it is a key to ${key.parent} already`);
    return [key];
  }
  const [discriminator, ...rest] = columns;
  if (discriminator === undefined || rest.length === 0)
    fail('a polymorphic pair has two columns, the discriminator first');
  const targets = Object.entries(to);
  if (targets.length === 0) fail('names no table');
  return targets.map(([value, target]) => ({
    ...wayTo(inspection, facts, rest, target),
    when: { column: discriminator ?? '', value },
  }));
}

const sameColumns = (a: ForeignKey, b: ForeignKey): boolean =>
  a.when === undefined && b.when === undefined && a.columns.join('|') === b.columns.join('|');

function wayTo(inspection: Inspection, child: TableFacts, columns: readonly string[], target: string): ForeignKey {
  const { facts: parent, columns: parentColumns } = locate(inspection, target, 'to');
  if (parentColumns.length !== columns.length)
    fail(`${columns.length} columns cannot refer to ${parentColumns.length} of ${parent.name}`);
  if (!isUnique(parent, parentColumns))
    fail(`${target} is not unique: a row must have one parent at most; make a unique index first`);
  const conversions = columns.map((column, i) => {
    const own = child.columns.find((c) => c.name === column);
    const theirs = parent.columns.find((c) => c.name === parentColumns[i]);
    const conversion = conversionOf(own?.baseType ?? own?.type, theirs?.baseType ?? theirs?.type);
    return (
      conversion ?? fail(`${column} (${own?.type ?? ''}) cannot be compared with ${target} (${theirs?.type ?? ''})`)
    );
  });
  const operators = parentColumns.map((column) => parent.columns.find((c) => c.name === column)?.equality ?? '=');
  return {
    name: `${child.table}_${columns.join('_')}_reference`,
    table: child.name,
    columns,
    parent: parent.name,
    parentColumns,
    nullable: true,
    deferrable: false,
    validated: false,
    onDelete: 'no action',
    onUpdate: 'no action',
    confirmed: true,
    ...(conversions.some((c) => c !== 'none') ? { conversions } : {}),
    ...(operators.some((operator) => operator !== '=') ? { operators } : {}),
    ...(isInherited(inspection, parent.name) ? { parentOnly: true } : {}),
  };
}

function locate(
  inspection: Inspection,
  text: string,
  field: 'from' | 'to',
): { facts: TableFacts; columns: ColumnsOfTable['columns'] } {
  const named = readColumns(text);
  if (named === undefined) return fail(`${field} must look like public.orders(id), not ${text}`);
  const facts = factsOf(inspection, named.table);
  if (facts === undefined) return fail(`there is no table ${named.table} (write it as it stands under tables)`);
  const missing = named.columns.find((column) => !facts.columns.some((c) => c.name === column));
  if (missing !== undefined)
    fail(`${named.table} has no column ${missing}; its columns are ${facts.columns.map((c) => c.name).join(', ')}`);
  return { facts, columns: named.columns };
}

export function isUnique(table: TableFacts, columns: readonly string[]): boolean {
  const wanted = [...columns].sort().join('|');
  return [table.primaryKey, ...table.uniques.filter((unique) => !unique.partial).map((unique) => unique.columns)].some(
    (key) => key.length > 0 && [...key].sort().join('|') === wanted,
  );
}
