import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolLike } from '../../database/kernel.ts';
import type { Queryable, Row } from '../../database/sql.ts';
import type { AdoptEvent, OnEvent } from './events.ts';
import { describeLag, type MaxLag, watchLag } from './lag.ts';
import { type RunWindow, readWindowState } from './window.ts';

export interface PaceOptions {
  /** Most rows per second over all tables; unlimited by default. */
  readonly maxRate?: number;
  /** Most bytes of write-ahead log per second, the application's included; unlimited by default. */
  readonly maxWal?: number;
  /** The backfill waits while a replica is further behind. Default 10 s; `{}` asks for none. */
  readonly maxLag?: MaxLag;
  /**
   * How far the backfill gives way to others at work in the database: it then fills one table at a time, and rests for so many times
   * the length of each batch. Default 1; 0 never gives way.
   */
  readonly nice?: number;
  /** Outside it a run sleeps. */
  readonly window?: RunWindow;
  /** Asked before each batch: milliseconds to wait, or 0. */
  readonly throttle?: (progress: { table: string; rows: number; rowsPerSecond: number }) => Promise<number> | number;
}

/** What holds a run back although it could go on. All tables of a run share one. */
export interface Pace {
  /** Most rows of one batch, so that a slow rate does not come in bursts. */
  readonly mostRows: number;
  /** Others are at work in the database, as far as it is known by now, and the run gives way to them. */
  busy(): boolean;
  /** Nobody else is at work, whether the run would give way or not. Looks now and then; false until it has looked for a second. */
  alone(): Promise<boolean>;
  /** Returns inside the window. Before each step. */
  open(): Promise<void>;
  /** Runs a batch, which returns its rows, when it may go: after `atLeast` milliseconds at the earliest. */
  batch(table: string, atLeast: number, fn: () => Promise<number>): Promise<number>;
}

type Reason = Extract<AdoptEvent, { type: 'waiting' }>['reason'];

const lookEvery = 250;
const tellEvery = 10_000;
/** Transactions of others in a second from which on they are at work. */
const busyFrom = 50;
/** A batch that took longer than it was to had to wait itself, and did nothing then that others must be spared, in milliseconds. */
const mostRest = 30;
/** Sessions tell of their transactions once in a second, so that a shorter time shows nobody's or too many. */
const lookBack = 4000;
const lookForward = 1000;

export function createPace({
  pool,
  options,
  onEvent,
  assertGoing,
}: {
  readonly pool: PoolLike;
  readonly options: PaceOptions;
  readonly onEvent: OnEvent;
  readonly assertGoing: () => void;
}): Pace {
  const { maxRate, maxWal, window, throttle, nice = 1, maxLag = { seconds: 10 } } = options;
  const lag = maxLag.seconds === undefined && maxLag.bytes === undefined ? undefined : watchLag(maxLag);
  const started = performance.now();
  const told = new Map<Reason, number>();
  let rows = 0;
  let free = 0;
  let walFree = 0;
  let wal: { at: number; lsn: number } | undefined;
  let warned = options.maxLag === undefined;
  let look: { at: number; wait: Promise<string | undefined> } | undefined;
  let openUntil = 0;
  const commits: { at: number; others: number }[] = [];
  let others: boolean | undefined;
  let looked = -Infinity;
  const busy = (): boolean => nice !== 0 && others === true;
  let batches = 0;
  let turn: Promise<void> = Promise.resolve();

  const rest = async (milliseconds: number): Promise<void> => {
    const end = performance.now() + milliseconds;
    for (let left = milliseconds; left > 0; left = end - performance.now()) {
      assertGoing();
      await sleep(Math.min(left, 200));
    }
    assertGoing();
  };
  const tell = async (reason: Reason, message: string, until: Date | null = null): Promise<void> => {
    if (performance.now() - (told.get(reason) ?? -Infinity) < tellEvery) return;
    told.set(reason, performance.now());
    await onEvent({ type: 'waiting', reason, message, until });
  };
  const goOn = async (reason: Reason): Promise<void> => {
    if (told.delete(reason)) await onEvent({ type: 'waiting', reason, message: 'goes on', until: null, over: true });
  };

  const open = async (): Promise<void> => {
    assertGoing();
    await readBusy();
    while (window !== undefined && performance.now() >= openUntil) {
      const state = await readWindowState(pool, window);
      if (state.open) {
        openUntil = performance.now() + 1000;
        break;
      }
      const opens = state.opensAt.toLocaleString('sv-SE', { timeZone: state.timeZone });
      await tell(
        'window',
        `outside ${window.from}-${window.to} (${state.timeZone}): sleeps until ${opens}`,
        state.opensAt,
      );
      await rest(Math.min(1000, Math.max(50, state.opensAt.getTime() - Date.now())));
    }
    await goOn('window');
  };

  /** @returns why the next batch must wait */
  const readLag = async (): Promise<string | undefined> => {
    if (lag === undefined) return undefined;
    const { behind, hidden } = await lag.read(pool);
    if (hidden && !warned) {
      warned = true;
      await onEvent({
        type: 'warning',
        message:
          'this login may not see how far replicas are behind, so they are not waited for: grant pg_monitor to it',
      });
    }
    return behind.length === 0 ? undefined : behind.map(describeLag).join('; ');
  };

  const readWal = async (): Promise<void> => {
    if (maxWal === undefined) return;
    const lsn = await selectWal(pool);
    const now = performance.now();
    if (wal !== undefined) walFree = Math.max(walFree, wal.at + ((lsn - wal.lsn) / maxWal) * 1000);
    wal = { at: now, lsn };
  };

  const readBusy = async (): Promise<void> => {
    const now = performance.now();
    if (now - looked < lookForward) return;
    // two that ask at once would find as many transactions in no time
    looked = now;
    // looks aside are transactions as well: a handful a second
    commits.push({ at: now, others: (await selectCommits(pool)) - batches });
    while (commits.length > 2 && now - (commits[1]?.at ?? now) >= lookBack) commits.shift();
    const [first, last] = [commits[0], commits.at(-1)];
    if (first === undefined || last === undefined || first === last) return;
    others = (last.others - first.others) / ((last.at - first.at) / 1000) > busyFrom;
  };

  const before = async (table: string, atLeast: number): Promise<void> => {
    await open();
    for (;;) {
      assertGoing();
      if (look === undefined || performance.now() - look.at >= lookEvery)
        look = {
          at: performance.now(),
          wait: Promise.all([readLag(), readWal()]).then(([found]) => found),
        };
      const behind = await look.wait;
      if (behind === undefined) break;
      await tell('replica', `waits for replicas: ${behind}`);
      await rest(lookEvery);
    }
    await goOn('replica');
    const seconds = (performance.now() - started) / 1000;
    const asked = (await throttle?.({ table, rows, rowsPerSecond: rows / Math.max(seconds, 0.001) })) ?? 0;
    await rest(Math.max(free - performance.now(), walFree - performance.now(), asked, atLeast));
  };

  const work = async (fn: () => Promise<number>): Promise<number> => {
    const began = performance.now();
    const count = await fn();
    batches += 1;
    rows += count;
    if (maxRate !== undefined) free = Math.max(free, performance.now()) + (count / maxRate) * 1000;
    if (busy()) await rest(Math.min(performance.now() - began, mostRest) * nice);
    return count;
  };

  return {
    mostRows: maxRate === undefined ? Infinity : Math.max(1, maxRate / 2),
    busy,
    async alone() {
      await readBusy();
      return others === false;
    },
    open,
    async batch(table, atLeast, fn) {
      await before(table, atLeast);
      if (!busy()) return work(fn);
      // one at a time, in the order in which they came
      const mine = turn.then(() => work(fn));
      turn = mine.then(
        () => undefined,
        () => undefined,
      );
      return mine;
    },
  };
}

async function selectCommits(db: Queryable): Promise<number> {
  const { rows } = await db.query<Row & { count: number }>(
    `select (d.xact_commit + d.xact_rollback)::float8 as count from pg_catalog.pg_stat_database d where d.datname = current_database()`,
  );
  return rows[0]?.count ?? 0;
}

async function selectWal(db: Queryable): Promise<number> {
  const { rows } = await db.query<Row & { lsn: number }>(
    `select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::float8 as lsn`,
  );
  return rows[0]?.lsn ?? 0;
}
