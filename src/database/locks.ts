import { setTimeout as sleep } from 'node:timers/promises';
import { TenantryError } from '../errors.ts';
import { type Blocker, describeBlocker, findBlockers } from './blockers.ts';
import { sqlStateOf } from './database-error.ts';
import type { ClientLike, PoolLike } from './kernel.ts';
import type { Queryable, Statement } from './sql.ts';

export interface LockOptions {
  /** How long one attempt waits for a lock, in milliseconds; everything that queues behind it waits as long. Default 300. */
  readonly lockTimeout?: number;
  /** The same for statements outside a transaction (CREATE INDEX CONCURRENTLY waits for every older snapshot). Default 60,000. */
  readonly concurrentLockTimeout?: number;
  /** Attempts before it gives up. Default 30: about half a minute with the default pauses. */
  readonly attempts?: number;
  /** Longest pause between two attempts, in milliseconds. Pauses grow from 50 ms and are jittered. Default 2,000. */
  readonly maxPause?: number;
  /** Stops between two attempts. */
  readonly signal?: AbortSignal;
  /** Called after each attempt. */
  readonly onAttempt?: (attempt: LockAttempt) => void;
  /** Called every second or so while one attempt waits longer than that (CREATE INDEX CONCURRENTLY, VALIDATE). */
  readonly onWaiting?: (waiting: { readonly milliseconds: number; readonly blockers: readonly Blocker[] }) => void;
}

export interface LockAttempt {
  readonly attempt: number;
  readonly outcome: 'done' | 'lock timeout' | 'deadlock' | 'concurrent change';
  readonly milliseconds: number;
  readonly blockers: readonly Blocker[];
}

/** What an attempt met that changed nothing and may be repeated. */
function outcomeOf(error: unknown): 'lock timeout' | 'deadlock' | 'concurrent change' | undefined {
  const state = sqlStateOf(error);
  if (state === '55P03') return 'lock timeout'; // lock_not_available
  if (state === '40P01') return 'deadlock'; // deadlock_detected
  // two sessions granted rights on one object: its catalogue row takes no lock that could be waited for
  if (state === 'XX000' && error instanceof Error && /tuple concurrently (?:updated|deleted)/.test(error.message)) {
    return 'concurrent change';
  }
  return undefined;
}

/**
 * Runs `fn` in one transaction under a lock timeout, again after a jittered pause when a lock was not to be had or a
 * deadlock was found. `fn` may run several times: it works through `tx` alone.
 *
 * @returns what `fn` returned in the attempt that committed
 * @throws TNT_LOCK_TIMEOUT with the sessions in the way; nothing is changed then
 *
 * @example
 * ```ts
 * await withLockRetry(pool, (tx) => tx.query('alter table orders enable row level security'));
 * ```
 */
export async function withLockRetry<T>(
  pool: PoolLike,
  fn: (tx: Queryable) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  return retryOnLock(pool, options, (client, begun) => inTransaction(client, fn, options, begun));
}

/**
 * Executes statements in order. What may run in a transaction does, neighbours together in one; each of the others runs
 * alone. Every attempt is under a lock timeout and is repeated as in {@link withLockRetry}.
 *
 * @throws TNT_LOCK_TIMEOUT, or the server's error; its transaction is rolled back
 */
export async function runStatements(
  pool: PoolLike,
  statements: readonly Statement[],
  options: LockOptions = {},
): Promise<void> {
  for (const group of groupStatements(statements)) {
    const alone = group.find((statement) => statement.outsideTransaction === true);
    await (alone === undefined
      ? withLockRetry(pool, (tx) => execute(tx, group), options)
      : retryOnLock(pool, options, (client, begun) => outsideTransaction(client, alone, options, begun)));
  }
}

/** Neighbours that share a transaction, and each statement that cannot be in one by itself. */
export function groupStatements(statements: readonly Statement[]): Statement[][] {
  const groups: Statement[][] = [];
  for (const statement of statements) {
    const last = groups.at(-1);
    const joins =
      statement.outsideTransaction !== true && last !== undefined && last.at(-1)?.outsideTransaction !== true;
    if (joins) last.push(statement);
    else groups.push([statement]);
  }
  return groups;
}

/** Executes statements in order on a connection that is in a transaction already. */
export async function execute(tx: Queryable, statements: readonly Statement[]): Promise<void> {
  for (const { text } of statements) await tx.query(text);
}

async function retryOnLock<T>(
  pool: PoolLike,
  options: LockOptions,
  attemptOn: (client: ClientLike, begun: (pid: number) => void) => Promise<T>,
): Promise<T> {
  const { attempts = 30, maxPause = 2000, signal, onAttempt } = options;
  // a look that comes too late for one attempt takes nothing from what an earlier one saw
  let seen: readonly Blocker[] = [];
  for (let attempt = 1; ; attempt += 1) {
    if (signal?.aborted === true) throw new TenantryError('TNT_INTERRUPTED', 'Stopped while waiting for a lock.');
    const started = performance.now();
    const watch: Watch = { blockers: [], over: false };
    let destroy = true; // kept only after a clean end: a session setting or an open transaction must not go back
    const client = await pool.connect();
    try {
      const result = await attemptOn(client, (pid) => void watchBlockers(pool, pid, watch, options));
      destroy = false;
      onAttempt?.({ attempt, outcome: 'done', milliseconds: performance.now() - started, blockers: [] });
      return result;
    } catch (error) {
      destroy = sqlStateOf(error) === undefined;
      const outcome = outcomeOf(error);
      if (outcome === undefined) throw error;
      const { blockers } = watch;
      onAttempt?.({ attempt, outcome, milliseconds: performance.now() - started, blockers });
      if (blockers.length > 0) seen = blockers;
      if (attempt >= attempts) throw lockError(outcome, attempt, seen, error);
    } finally {
      watch.over = true;
      client.release(destroy);
    }
    await pause(attempt, maxPause, signal);
  }
}

async function inTransaction<T>(
  client: Queryable,
  fn: (tx: Queryable) => Promise<T>,
  { lockTimeout = 300 }: LockOptions,
  begun: (pid: number) => void,
): Promise<T> {
  await client.query('begin');
  try {
    begun(await setLockTimeout(client, lockTimeout, true));
    const result = await fn(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function outsideTransaction(
  client: Queryable,
  { text }: Statement,
  { concurrentLockTimeout = 60_000 }: LockOptions,
  begun: (pid: number) => void,
): Promise<undefined> {
  begun(await setLockTimeout(client, concurrentLockTimeout, false));
  try {
    await client.query(text);
  } finally {
    await client.query('reset lock_timeout');
  }
}

/** One round trip for both. @returns the process that a waiting session is known by */
async function setLockTimeout(client: Queryable, milliseconds: number, local: boolean): Promise<number> {
  const { rows } = await client.query<{ pid: number }>(
    `select pg_catalog.set_config('lock_timeout', '${Math.round(milliseconds)}', ${local}), pg_catalog.pg_backend_pid() as pid`,
  );
  return rows[0]?.pid ?? 0;
}

interface Watch {
  blockers: Blocker[];
  over: boolean;
}

/** Looks late in the wait and then every second, on another connection: after the time-out the server no longer knows who was in the way. */
async function watchBlockers(pool: PoolLike, pid: number, watch: Watch, options: LockOptions): Promise<void> {
  const { lockTimeout = 300, onWaiting } = options;
  const started = performance.now();
  try {
    await sleep(lockTimeout * 0.6, undefined, { ref: false });
    while (!watch.over) {
      const observer = await pool.connect();
      try {
        if (!watch.over) watch.blockers = await findBlockers(observer, pid);
      } finally {
        observer.release();
      }
      const milliseconds = performance.now() - started;
      if (!watch.over && milliseconds > 1000 && watch.blockers.length > 0)
        onWaiting?.({ milliseconds, blockers: watch.blockers });
      await sleep(Math.max(lockTimeout, 1000), undefined, { ref: false });
    }
  } catch {
    // Only a help for the message: a pool without a free connection must not fail the work.
  }
}

async function pause(attempt: number, maxPause: number, signal: AbortSignal | undefined): Promise<void> {
  const longest = Math.min(maxPause, 50 * 2 ** Math.min(attempt, 16));
  await sleep(longest * (0.5 + Math.random() / 2), undefined, signal === undefined ? {} : { signal }).catch(
    () => undefined,
  );
}

function lockError(outcome: string, attempts: number, blockers: readonly Blocker[], cause: unknown): TenantryError {
  const who =
    blockers.length === 0
      ? 'the sessions in the way were gone when asked for'
      : blockers.map(describeBlocker).join('; ');
  return new TenantryError(
    'TNT_LOCK_TIMEOUT',
    `A lock was not to be had in ${attempts} attempts (${outcome}): ${who}.`,
    {
      details: { attempts, outcome, blockers },
      cause,
    },
  );
}
