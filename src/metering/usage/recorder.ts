import { setTimeout as sleep } from 'node:timers/promises';
import { runOutsideContext } from '../../context/scope.ts';
import { sqlStateOf } from '../../database/database-error.ts';
import { TenantryError } from '../../errors.ts';
import type { PlacedEvent } from './lanes.ts';
import { refusalOf } from './refusals.ts';
import type { UsageOutcome } from './schema.ts';

export interface UsageOptions {
  /** Events in one transaction, at most. Defaults to 1000. */
  readonly maxBatch?: number;
  /** Transactions at once. Defaults to 2: while one commits, the next is written. */
  readonly maxFlushes?: number;
  /** Events that wait to be committed, at most; more are refused. Defaults to 100,000. */
  readonly maxPending?: number;
  /** How long an event is tried when the server cannot be reached, in milliseconds. Defaults to 30 seconds. */
  readonly patienceMs?: number;
}

export interface Recorder {
  add(event: PlacedEvent): Promise<UsageOutcome>;
  /** Resolves when everything that was added before is committed or refused. */
  flush(): Promise<void>;
  /** Refuses what comes, and resolves when everything that came is committed or refused. */
  close(): Promise<void>;
  readonly pending: number;
}

/** After a duplicate more are likely: a client sends a day again. */
const carefulFor = 20;

/** Fewer events than this are not divided among the flushes that are free: a transaction costs more than they do. */
const leastShare = 8;

interface Waiting {
  readonly event: PlacedEvent;
  readonly resolve: (outcome: UsageOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Many callers share one transaction; each is told after its commit. `send` is told whether ids are expected to be new, and
 * answers with a letter per event, or nothing: all counted. */
export function createRecorder(
  send: (events: readonly PlacedEvent[], fresh: boolean) => Promise<string>,
  { maxBatch = 1000, maxFlushes = 2, maxPending = 100_000, patienceMs = 30_000 }: UsageOptions = {},
): Recorder {
  let queue: Waiting[] = [];
  let taken = 0;
  let pending = 0;
  let flushes = 0;
  let scheduled = false;
  let closed = false;
  /** Batches that are still sent with known ids in mind. */
  let careful = 0;
  let idle: (() => void)[] = [];

  /** After the running turn of the event loop, so that its callers share a batch; outside of the caller's context. */
  function schedule(): void {
    if (scheduled || flushes >= maxFlushes || taken === queue.length) return;
    scheduled = true;
    runOutsideContext(() => setImmediate(start));
  }

  function start(): void {
    scheduled = false;
    if (taken === queue.length) return;
    const share = Math.max(leastShare, Math.ceil((queue.length - taken) / (maxFlushes - flushes)));
    const batch = queue.slice(taken, taken + Math.min(maxBatch, share));
    taken += batch.length;
    if (taken === queue.length) {
      queue = [];
      taken = 0;
    }
    flushes += 1;
    void deliver(batch, Date.now() + patienceMs).finally(() => {
      flushes -= 1;
      if (pending === 0) {
        const waiting = idle;
        idle = [];
        for (const done of waiting) done();
      }
      schedule();
    });
    schedule();
  }

  async function deliver(batch: readonly Waiting[], deadline: number): Promise<void> {
    for (let attempt = 0; ; attempt += 1) {
      try {
        const answer = await send(
          batch.map(({ event }) => event),
          attempt === 0 && careful === 0,
        );
        if (answer !== '') careful = carefulFor;
        else if (careful > 0) careful -= 1;
        pending -= batch.length;
        settle(batch, answer);
        return;
      } catch (error) {
        if (!isPassing(error)) {
          // one event that the server cannot take must not take the others with it
          if (batch.length > 1) {
            const half = batch.length >> 1;
            await deliver(batch.slice(0, half), deadline);
            await deliver(batch.slice(half), deadline);
            return;
          }
          pending -= batch.length;
          for (const { reject } of batch) reject(error);
          return;
        }
        if (Date.now() >= deadline) {
          pending -= batch.length;
          const lost = new TenantryError(
            'TNT_USAGE_UNCERTAIN',
            'The server could not be reached: nobody knows whether the event was counted.',
            { cause: error },
          );
          for (const { reject } of batch) reject(lost);
          return;
        }
        await sleep(Math.min(1000, 10 * 2 ** attempt) * (0.5 + Math.random() / 2));
      }
    }
  }

  const drained = (): Promise<void> => (pending === 0 ? Promise.resolve() : new Promise((done) => idle.push(done)));

  return {
    add(event) {
      if (closed)
        return Promise.reject(
          new TenantryError('TNT_USAGE_CLOSED', 'Usage is recorded no more: the recorder was closed.'),
        );
      if (pending >= maxPending) {
        return Promise.reject(
          new TenantryError('TNT_USAGE_OVERLOADED', `${pending} events wait to be committed; this one was not taken.`, {
            details: { pending },
          }),
        );
      }
      pending += 1;
      return new Promise((resolve, reject) => {
        queue.push({ event, resolve, reject });
        schedule();
      });
    },
    flush: drained,
    async close() {
      closed = true;
      await drained();
    },
    get pending() {
      return pending;
    },
  };
}

function settle(batch: readonly Waiting[], answer: string): void {
  for (let i = 0; i < batch.length; i += 1) {
    const waiting = batch[i] as Waiting;
    const letter = answer === '' ? 'c' : answer.charAt(i);
    if (letter === 'c') waiting.resolve('counted');
    else if (letter === 'd') waiting.resolve('duplicate');
    else waiting.reject(refusalOf(letter, waiting.event));
  }
}

/**
 * Whether another try can succeed: no connection, a server that starts or stops, too many connections, a deadlock, a lock
 * timeout. It may follow a commit whose answer was lost, because an event that was counted is not counted again.
 */
function isPassing(error: unknown): boolean {
  if (error instanceof TenantryError && error.code !== 'TNT_SERVER_UNREACHABLE') return false;
  const code = sqlStateOf(error);
  if (code === undefined) return error instanceof Error && !(error instanceof TypeError);
  return !/^[\dA-Z]{5}$/.test(code) || /^(08|40|53|55|57|58)/.test(code) || code === '25006';
}
