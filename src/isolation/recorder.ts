import { createHash } from 'node:crypto';
import type { Context } from '../context/types.ts';
import type { PoolLike } from '../database/kernel.ts';
import { type Queryable, renderSchema } from '../database/sql.ts';
import { compareRead, isRead, type Verdict } from './compare.ts';
import { type Operation, operationOfLetter } from './declaration.ts';

/** What a pool reports of a statement that touched rows of another tenant; the pool's `ShadowMiss` fits. */
export interface MissLike {
  /** `schema.table` */
  readonly table: string;
  /** The letter of `tenantry.shadow_miss`. */
  readonly operation: string;
  readonly rows: number | undefined;
  /** The statement without values. */
  readonly fingerprint: string;
  readonly statement: string;
  /** Kept in memory until the statement has been compared; never written anywhere. */
  readonly values?: readonly unknown[] | undefined;
  readonly callSite: string | undefined;
  readonly context: Context | undefined;
}

export interface RecorderOptions {
  /** Where misses are written: plain connections of the application's login, not a pool that adds a context. */
  readonly database: Queryable;
  /** Connections of the application's login on which reads are repeated. Absent: reads stay unconfirmed. */
  readonly compareOn?: PoolLike;
  readonly schema?: string;
  /** Milliseconds between two writes. Default 5,000. */
  readonly flushEvery?: number;
  /** Kinds of statement kept in memory; what comes beyond is counted per table and operation alone. Default 2,000. */
  readonly limit?: number;
  /** A write failed: what it held is kept for the next one. */
  readonly onError?: (error: unknown) => void;
}

export interface ShadowRecorder {
  /** Give this to the pool. Takes note and returns at once; never throws. */
  readonly onShadowMiss: (miss: MissLike) => void;
  /** Give this to the pool as well: statements without a context, whatever table they name. */
  readonly onMissingContext: (missing: Pick<MissLike, 'fingerprint' | 'statement' | 'callSite'>) => void;
  /** Judges what waits to be compared and writes everything. */
  flush(): Promise<void>;
  /** The last flush; nothing noted before is lost unless the database refuses it. */
  close(): Promise<void>;
}

interface Noted {
  table_schema: string;
  table_name: string;
  operation: Operation;
  fingerprint: string;
  call_site: string;
  tenant_id: string | null;
  rows: number;
  occurrences: number;
  status: Verdict;
  statement: string;
  first_seen: string;
  last_seen: string;
}

const waitingLimit = 200;

/**
 * Gathers shadow misses in memory and writes them in batches, off the path of any query. A read whose fingerprint is
 * new is repeated once enforced and compared, and again at its 10th, 100th, … miss; a write is confirmed as it is.
 *
 * @example
 * ```ts
 * const recorder = createShadowRecorder({ database: plain, compareOn: plain });
 * const pool = createPool({ connectionString, onShadowMiss: recorder.onShadowMiss });
 * ```
 */
export function createShadowRecorder({
  database,
  compareOn,
  schema = 'tenantry',
  flushEvery = 5000,
  limit = 2000,
  onError = () => {},
}: RecorderOptions): ShadowRecorder {
  let noted = new Map<string, Noted>();
  const seen = new Map<string, { count: number; verdict: Verdict }>();
  const waiting: { entry: Noted; miss: MissLike }[] = [];
  let work: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  const note = (entry: Noted): void => {
    let key = keyOf(entry);
    if (!noted.has(key) && noted.size >= limit) {
      // bounded, and nothing goes uncounted: the detail goes first
      entry = { ...entry, fingerprint: 'overflow', call_site: '', statement: '' };
      key = keyOf(entry);
    }
    noted.set(key, add(noted.get(key), entry));
    timer ??= setTimeout(() => void flush().catch(onError), flushEvery).unref();
  };

  const onShadowMiss = (miss: MissLike): void => {
    const operation = operationOfLetter[miss.operation] ?? 'select';
    const entry = entryOf(miss, operation, operation === 'select' ? 'unconfirmed' : 'confirmed');
    const statement = statementOf(entry);
    const known = seen.get(statement) ?? { count: 0, verdict: entry.status };
    if (seen.size >= limit * 2) seen.clear();
    seen.set(statement, known);
    known.count += 1;
    note(entry);
    const worthIt = known.verdict !== 'confirmed' && Number.isInteger(Math.log10(known.count));
    if (compareOn !== undefined && worthIt && isRead(miss.statement) && waiting.length < waitingLimit) {
      waiting.push({ entry, miss });
    }
  };

  const judge = async (pool: PoolLike): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { entry, miss } = next;
      const verdict = await compareRead(pool, miss);
      const known = seen.get(statementOf(entry));
      if (known !== undefined) known.verdict = worse(known.verdict, verdict);
      // nothing new to count, only to judge
      noted.set(keyOf(entry), add(noted.get(keyOf(entry)), { ...entry, status: verdict, rows: 0, occurrences: 0 }));
    }
  };

  const write = async (): Promise<void> => {
    if (compareOn !== undefined) await judge(compareOn);
    const batch = noted;
    noted = new Map();
    if (batch.size === 0) return;
    // a verdict is about the statement, whoever asked from wherever
    const judged = [...batch.values()].map((entry) => {
      const verdict = seen.get(statementOf(entry))?.verdict;
      return verdict === undefined ? entry : { ...entry, status: worse(entry.status, verdict) };
    });
    try {
      await database.query(renderSchema('select tenantry.record_shadow_misses($1::jsonb)', schema), [
        JSON.stringify(judged),
      ]);
    } catch (error) {
      for (const [key, entry] of batch) noted.set(key, add(noted.get(key), entry));
      throw error;
    }
  };

  const flush = (): Promise<void> => {
    clearTimeout(timer);
    timer = undefined;
    const written = work.then(write);
    work = written.catch(() => undefined);
    return written;
  };

  return {
    onShadowMiss,
    onMissingContext: ({ fingerprint, statement, callSite }) => {
      const word = /^\W*(insert|update|delete)\b/i.exec(statement)?.[1]?.toLowerCase() as Operation | undefined;
      const operation = word ?? 'select';
      note(
        entryOf({ table: '', rows: undefined, fingerprint, callSite, context: undefined }, operation, 'unconfirmed'),
      );
    },
    flush,
    close: flush,
  };
}

function entryOf(
  miss: Pick<MissLike, 'table' | 'rows' | 'fingerprint' | 'callSite' | 'context'>,
  operation: Operation,
  status: Verdict,
): Noted {
  const now = new Date().toISOString();
  const dot = miss.table.indexOf('.');
  return {
    table_schema: miss.table.slice(0, Math.max(dot, 0)),
    table_name: miss.table.slice(dot + 1),
    operation,
    fingerprint: createHash('sha256').update(miss.fingerprint).digest('hex').slice(0, 16),
    call_site: miss.callSite ?? '',
    tenant_id: miss.context?.kind === 'tenant' ? miss.context.tenantId : null,
    rows: miss.rows ?? 1,
    occurrences: 1,
    status,
    statement: miss.fingerprint,
    first_seen: now,
    last_seen: now,
  };
}

const keyOf = (entry: Noted): string =>
  [entry.table_schema, entry.table_name, entry.operation, entry.fingerprint, entry.call_site, entry.tenant_id].join(
    '\0',
  );

const statementOf = (entry: Noted): string =>
  [entry.table_schema, entry.table_name, entry.operation, entry.fingerprint].join('\0');

function add(known: Noted | undefined, entry: Noted): Noted {
  if (known === undefined) return entry;
  return {
    ...known,
    rows: known.rows + entry.rows,
    occurrences: known.occurrences + entry.occurrences,
    status: worse(known.status, entry.status),
    first_seen: known.first_seen < entry.first_seen ? known.first_seen : entry.first_seen,
    last_seen: known.last_seen > entry.last_seen ? known.last_seen : entry.last_seen,
  };
}

/** A verdict is never lowered: one answer that differs is enough. */
function worse(a: Verdict, b: Verdict): Verdict {
  const rank: readonly Verdict[] = ['unconfirmed', 'examined', 'confirmed'];
  return rank.indexOf(a) >= rank.indexOf(b) ? a : b;
}
