import { sqlStateOf } from '../../database/database-error.ts';
import { ident, literal, type Queryable } from '../../database/sql.ts';
import type { ForeignKey, Inspection, TableFacts, TableName } from '../inspection.ts';
import { factsOf, isInherited } from '../lookups.ts';
import type { FoundReference } from '../plan-types.ts';
import { joinCondition, parentRows } from '../tenant-sql.ts';
import { type Candidate, findCandidates, findPairs, type PairCandidate, tablesOfValue } from './candidates.ts';
import { confirmReference } from './confirm.ts';
import { type ContentTypePair, findContentTypePairs, readContentTypes } from './content-types.ts';
import { writeColumns } from './notation.ts';

/** Rows read of a table for one question, and different values of a discriminator that are still one. */
const sample = 5000;
const mostTargets = 30;
/** Below this share the name was a coincidence. */
const leastShare = 0.5;
/** Milliseconds for one question: a table without an index on its key is not read to its end. */
const patience = 5000;
/** Milliseconds for all of them. What is not asked by then is offered by its name alone. */
const patienceInAll = 60_000;

/**
 * References that no constraint declares: found by name and type, then asked of the data. Reads a sample of each table, at most.
 * `inspection` holds the confirmed ones among its keys, which are not found again.
 */
export async function findReferences(db: Queryable, inspection: Inspection): Promise<FoundReference[]> {
  const found: FoundReference[] = [];
  const asking: Asking = { db, until: performance.now() + patienceInAll };
  for (const candidate of findCandidates(inspection))
    found.push(...(await askCandidate(asking, inspection, candidate)));
  for (const pair of findPairs(inspection)) found.push(...(await askPair(asking, inspection, pair)));
  for (const pair of findContentTypePairs(inspection)) found.push(...(await askContentTypes(asking, inspection, pair)));
  const order = (reference: FoundReference): string => `${reference.table} ${reference.from}`;
  return found.sort((a, b) => (order(a) < order(b) ? -1 : 1));
}

interface Asking {
  readonly db: Queryable;
  readonly until: number;
}

async function askCandidate(asking: Asking, inspection: Inspection, candidate: Candidate): Promise<FoundReference[]> {
  const from = writeColumns(candidate.table, candidate.columns);
  const to = writeColumns(candidate.parent, candidate.parentColumns);
  const [key] = confirmReference(inspection, [], { from, to });
  if (key === undefined) return [];
  const seen = await countFound(asking, inspection, key);
  if (seen !== null && seen.sampled > 0 && seen.found / seen.sampled < leastShare) return [];
  return [
    {
      from,
      to,
      table: candidate.table,
      columns: candidate.columns,
      sampled: seen?.sampled ?? 0,
      found: seen?.found ?? 0,
      confidence: confidenceOf(seen, candidate.strength === 'strong'),
      reason: `${candidate.reason}; ${describe(seen)}`,
    },
  ];
}

async function askPair(
  asking: Asking,
  inspection: Inspection,
  { table, discriminator, column }: PairCandidate,
): Promise<FoundReference[]> {
  const rows = await guarded<{ value: string }>(
    asking,
    `select c.value from (select t.${ident(discriminator)}::text as value from ${sampled(inspection, table)} where t.${ident(discriminator)} is not null limit ${sample}) c
     group by 1 order by 1 limit ${mostTargets + 1}`,
  );
  if (rows === null || rows.length === 0 || rows.length > mostTargets) return [];
  return offerPair(
    asking,
    inspection,
    { table, discriminator, column },
    rows.map(({ value }) => ({ value, shown: value, tables: tablesOfValue(inspection, value) })),
    `${discriminator} names the table that ${column} refers to`,
  );
}

/** Numbers of content types differ from database to database: the reason says which model each of them is. */
async function askContentTypes(
  asking: Asking,
  inspection: Inspection,
  pair: ContentTypePair,
): Promise<FoundReference[]> {
  const rows = sampled(inspection, pair.table);
  const types = await readContentTypes((text) => guarded(asking, text), inspection, pair, rows, mostTargets + 1);
  if (types === undefined || types.length === 0 || types.length > mostTargets) return [];
  const models = types.map(({ value, model }) => `${value} = ${model}`).join(', ');
  return offerPair(
    asking,
    inspection,
    pair,
    types.map(({ value, model, tables }) => ({ value, shown: model, tables })),
    `${pair.discriminator} is a content type of Django (${models}) and names the table that ${pair.column} refers to`,
  );
}

async function offerPair(
  asking: Asking,
  inspection: Inspection,
  { table, discriminator, column }: PairCandidate,
  values: readonly { readonly value: string; readonly shown: string; readonly tables: readonly TableFacts[] }[],
  reason: string,
): Promise<FoundReference[]> {
  const to: Record<string, string> = {};
  const unmapped: string[] = [];
  const total = { sampled: 0, found: 0 };
  for (const { value, shown, tables } of values) {
    const target = await targetOfValue(asking, inspection, { table, discriminator, column }, value, tables);
    if (target === undefined) unmapped.push(shown);
    else {
      to[value] = target.to;
      total.sampled += target.sampled;
      total.found += target.found;
    }
  }
  if (Object.keys(to).length === 0) return [];
  const missing =
    unmapped.length === 0 ? '' : `; no table for ${unmapped.map((value) => JSON.stringify(value)).join(', ')}`;
  return [
    {
      from: writeColumns(table, [discriminator, column]),
      to,
      table,
      columns: [discriminator, column],
      ...total,
      confidence: confidenceOf(total, unmapped.length === 0),
      reason: `${reason}; ${describe(total)}${missing}`,
    },
  ];
}

async function targetOfValue(
  asking: Asking,
  inspection: Inspection,
  { table, discriminator, column }: PairCandidate,
  value: string,
  tables: readonly TableFacts[],
): Promise<{ to: string; sampled: number; found: number } | undefined> {
  const from = writeColumns(table, [discriminator, column]);
  for (const parent of tables) {
    if (parent.primaryKey.length !== 1) continue;
    const to = writeColumns(parent.name, parent.primaryKey);
    const key = confirmed(inspection, from, { [value]: to });
    const seen = key === undefined ? null : await countFound(asking, inspection, key);
    if (seen !== null && seen.sampled > 0 && seen.found / seen.sampled >= leastShare) return { to, ...seen };
  }
  return undefined;
}

function confirmed(inspection: Inspection, from: string, to: Record<string, string>): ForeignKey | undefined {
  try {
    return confirmReference(inspection, [], { from, to })[0];
  } catch {
    // a type that cannot be compared: no reference
    return undefined;
  }
}

interface Seen {
  readonly sampled: number;
  readonly found: number;
}

/** How many of the different values in a sample the parent has; null where the tables could not be read. */
async function countFound(asking: Asking, inspection: Inspection, key: ForeignKey): Promise<Seen | null> {
  const columns = key.columns.map((column) => `t.${ident(column)}`);
  const kind = key.when === undefined ? [] : [`t.${ident(key.when.column)}`];
  const present = [
    ...columns.map((column) => `${column} is not null`),
    ...(key.when === undefined ? [] : [`t.${ident(key.when.column)} = ${literal(key.when.value)}`]),
  ].join(' and ');
  const values = [...columns, ...kind].join(', ');
  const rows = await guarded<{ sampled: number; found: number }>(
    asking,
    `select count(*)::int as sampled, count(*) filter (where exists (select from ${parentRows(key)} p where ${joinCondition(key, 's', 'p')}))::int as found
     from (select distinct * from (select ${values} from ${sampled(inspection, key.table)} where ${present} limit ${sample}) t) s`,
  );
  return rows?.[0] ?? null;
}

/** The table's own rows; of a large one a sample that is the same each time, so that a plan that is made again is the same. */
function sampled(inspection: Inspection, name: TableName): string {
  const facts: TableFacts | undefined = factsOf(inspection, name);
  const inherited = isInherited(inspection, name);
  const rows = facts?.rows ?? 0;
  const share =
    rows > 20 * sample
      ? ` tablesample system (${Math.max((2000 * sample) / rows, 0.001).toFixed(3)}) repeatable (1)`
      : '';
  return `${inherited ? 'only ' : ''}${name} t${share}`;
}

/** A question that may be refused (no right to read) or take too long costs nothing but its answer. */
async function guarded<R extends Record<string, unknown>>(asking: Asking, text: string): Promise<R[] | null> {
  const { db, until } = asking;
  if (performance.now() > until) return null;
  await db.query(`savepoint reference`);
  try {
    await db.query(`set local statement_timeout = ${patience}`);
    return (await db.query<R>(text)).rows;
  } catch (error) {
    // 42501 no right, 57014 time-out, 42883 no operator between the two types, 22xxx a value that does not fit
    const state = sqlStateOf(error);
    if (state === undefined || !/^(42501|57014|42883|22.*)$/.test(state)) throw error;
    return null;
  } finally {
    await db.query(`rollback to savepoint reference`).catch(() => undefined);
  }
}

function confidenceOf(seen: Seen | null, strong: boolean): FoundReference['confidence'] {
  if (seen === null || seen.sampled === 0) return 'low';
  if (seen.found === seen.sampled) return strong ? 'high' : 'medium';
  return strong && seen.found / seen.sampled >= 0.9 ? 'medium' : 'low';
}

function describe(seen: Seen | null): string {
  if (seen === null) return 'the rows could not be read';
  if (seen.sampled === 0) return 'no value to look at';
  return seen.found === seen.sampled
    ? `all ${seen.sampled} different values looked at are there`
    : `${seen.found} of ${seen.sampled} different values looked at are there, ${seen.sampled - seen.found} lead nowhere`;
}
