import { withSystem, withTenant } from '../context/index.ts';
import type { Kernel } from '../database/kernel.ts';
import { createListener, type ListenClient, type Listener } from '../database/listen.ts';
import { parseInput } from '../directory/input.ts';
import { handlerSchedule, type RetrySchedule, retryDelay, webhookSchedule } from './backoff.ts';
import {
  claimQueues,
  extendLease,
  type Lease,
  type NextEvent,
  nextDue,
  nextEvents,
  pruneEvents,
  registerConsumer,
  releaseLease,
  reportAttempt,
} from './queries/dispatch.ts';
import { type OutboxEvent, topicFilters } from './schema.ts';

/** A handler inside the application. Events of one organization come one after the other, in their order. */
export interface Consumer {
  /** `*`, topics, or prefixes as `invoice.*`. */
  readonly topics: readonly string[];
  /**
   * Runs inside the event's organization, for the user who caused it. It may run twice for one event: `event.id` tells.
   * The signal ends when time is up or the event has become somebody else's.
   */
  handle(event: OutboxEvent, signal: AbortSignal): unknown;
}

/** What became of one attempt. */
export interface AttemptResult {
  readonly delivered: boolean;
  readonly status?: number;
  readonly error?: string;
  readonly response?: string;
  /** The receiver's own wish. Milliseconds. */
  readonly retryAfterMs?: number;
}

/** Sends an event to an endpoint; handed in by the webhooks. */
export interface Deliverer {
  deliver(endpointId: string, event: OutboxEvent, signal: AbortSignal): Promise<AttemptResult>;
  /** After a failure was written: whether the endpoint is to be disabled is decided here. */
  failed(endpointId: string, result: AttemptResult): Promise<void>;
}

export interface DispatcherOptions {
  /** By the name that all processes with these handlers share: one queue per name and organization. */
  readonly consumers?: Readonly<Record<string, Consumer>>;
  /** Whether this process sends webhooks. Defaults to true. */
  readonly webhooks?: boolean;
  /** Queues at work at once. Defaults to 32. */
  readonly concurrency?: number;
  /** Queues of one organization at work at once: a slow one leaves room for others. Defaults to a quarter of concurrency. */
  readonly perTenant?: number;
  /** How long a queue stays with a process that no longer says anything. Milliseconds, default 30,000. */
  readonly leaseMs?: number;
  /** How often to look when nothing wakes the dispatcher. Milliseconds, default 1,000. */
  readonly pollMs?: number;
  /** How long a handler may take before it counts as failed. Milliseconds, default 30,000. */
  readonly handlerTimeoutMs?: number;
  /** How long one queue may keep its place while others wait. Milliseconds, default 5,000. */
  readonly sliceMs?: number;
  /** Delays after failures of handlers; see {@link handlerSchedule}. */
  readonly retries?: RetrySchedule;
  /** Delays after failures of webhooks; see {@link webhookSchedule}. */
  readonly webhookRetries?: RetrySchedule;
  /** A connected `pg.Client` of its own, to be woken by the database instead of by the clock alone. */
  readonly connect?: () => Promise<ListenClient>;
  /** Events older than this are removed once every reader has passed them. Days; defaults to 30, null keeps them. */
  readonly keepDays?: number | null;
  /** Called once an hour, for other housekeeping. */
  readonly onHour?: () => Promise<unknown>;
  /** What went wrong and will be tried again: a lost database, a handler's error. */
  readonly onError?: (error: unknown, event?: OutboxEvent) => void;
}

export interface Dispatcher {
  /** Registers the consumers and begins. @throws TNT_INPUT_INVALID */
  start(): Promise<void>;
  /** Takes nothing new, waits for what is under way, gives back what is left. */
  stop(): Promise<void>;
}

const batch = 20;
const hour = 3_600_000;

/**
 * Hands events on: at least once, in the order of each organization, any number of processes at once. What a process
 * that was killed had under way is taken over when its lease ends.
 */
export function createDispatcher(
  kernel: Kernel,
  deliverer: Deliverer | undefined,
  options: DispatcherOptions = {},
): Dispatcher {
  const { consumers = {}, concurrency = 32, leaseMs = 30_000, pollMs = 1_000, sliceMs = 5_000 } = options;
  const { retries = handlerSchedule, webhookRetries = webhookSchedule, handlerTimeoutMs = 30_000 } = options;
  const { keepDays = 30, onError = () => {}, connect, onHour } = options;
  const webhooks = (options.webhooks ?? true) && deliverer !== undefined;
  const perTenant = options.perTenant ?? Math.max(1, Math.floor(concurrency / 4));
  const names = Object.keys(consumers);
  const active = new Map<string, number>();
  const running = new Set<Promise<void>>();
  let listener: Listener | undefined;
  let stopping = false;
  let wake = (): void => {};
  let woken = false;
  let main: Promise<void> | undefined;
  let lastHour = 0;

  const notify = (): void => {
    woken = true;
    wake();
  };
  const system = <T>(fn: () => Promise<T>): Promise<T> => withSystem('outbox dispatch', fn);

  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      if (woken || stopping) {
        resolve();
        return;
      }
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  async function loop(): Promise<void> {
    let failures = 0;
    while (!stopping) {
      woken = false;
      let wait = pollMs;
      try {
        const free = concurrency - running.size;
        if (free > 0) {
          const busy = [...active].filter(([, count]) => count >= perTenant).map(([tenantId]) => tenantId);
          const leases = await system(() =>
            claimQueues(kernel, { consumers: names, webhooks, busy, perTenant, limit: free, leaseMs }),
          );
          for (const lease of leases) begin(lease);
          if (leases.length === free) continue;
          if (leases.length === 0) {
            const due = await system(() => nextDue(kernel, names, webhooks));
            // a queue that is due and was not given is one of a busy tenant: its end wakes us
            if (due !== null && due > 0) wait = Math.min(wait, Math.ceil(due) + 1);
          }
        }
        failures = 0;
        if (Date.now() - lastHour > hour) await housekeeping();
      } catch (error) {
        onError(error);
        failures += 1;
        woken = false;
        wait = Math.min(5_000, 100 * 2 ** Math.min(failures, 10)) * (0.5 + Math.random() / 2);
      }
      await pause(wait);
    }
  }

  async function housekeeping(): Promise<void> {
    lastHour = Date.now();
    await onHour?.();
    if (keepDays !== null) while ((await system(() => pruneEvents(kernel, keepDays, 1_000))) === 1_000 && !stopping);
  }

  function begin(lease: Lease): void {
    const full = (active.get(lease.tenantId) ?? 0) >= perTenant;
    active.set(lease.tenantId, (active.get(lease.tenantId) ?? 0) + 1);
    const work = withTenant({ tenantId: lease.tenantId }, () => (full ? releaseLease(kernel, lease) : serve(lease)))
      .catch((error: unknown) => onError(error)) // its lease ends by itself
      .finally(() => {
        running.delete(work);
        const left = (active.get(lease.tenantId) ?? 1) - 1;
        if (left > 0) active.set(lease.tenantId, left);
        else active.delete(lease.tenantId);
        notify();
      });
    running.add(work);
  }

  /** Works one queue off, in order, until it is empty, fails, or has had its time. */
  async function serve(lease: Lease): Promise<void> {
    const end = Date.now() + sliceMs;
    for (;;) {
      const events = await nextEvents(kernel, lease, batch);
      for (const next of events) {
        if (stopping || Date.now() > end) return releaseLease(kernel, lease);
        const outcome = await attempt(lease, next);
        if (outcome === 'lost') return;
        if (outcome === 'failed' && !next.replay) return releaseLease(kernel, lease);
      }
      if (events.length < batch) return releaseLease(kernel, lease);
    }
  }

  async function attempt(lease: Lease, next: NextEvent): Promise<'done' | 'failed' | 'lost'> {
    const { attempts, replay: _, ...content } = next;
    const event: OutboxEvent = { tenantId: lease.tenantId, ...content };
    const lost = new AbortController();
    const beat = setInterval(() => {
      extendLease(kernel, lease, leaseMs).then(
        (ours) => ours || lost.abort(new Error('the lease is over')),
        () => {}, // the next beat, or the report, says more
      );
    }, leaseMs / 3);
    const started = performance.now();
    let result: AttemptResult;
    try {
      result =
        lease.consumer === null
          ? await send(lease.queueId, event, lost.signal) // what it throws is our own fault, and no attempt of the receiver's
          : await handle(lease.consumer, event, lost);
    } finally {
      clearInterval(beat);
    }
    const schedule = lease.consumer === null ? webhookRetries : retries;
    const ours = await reportAttempt(kernel, lease, {
      eventId: event.id,
      delivered: result.delivered,
      retryMs: result.delivered ? null : retryDelay(schedule, attempts + 1, result.retryAfterMs),
      leaseMs,
      status: result.status ?? null,
      error: result.error ?? null,
      durationMs: Math.round(performance.now() - started),
      response: result.response ?? null,
    });
    if (!ours) return 'lost';
    if (!result.delivered && lease.consumer === null) await deliverer?.failed(lease.queueId, result);
    return result.delivered ? 'done' : 'failed';
  }

  async function send(endpointId: string, event: OutboxEvent, signal: AbortSignal): Promise<AttemptResult> {
    return (await deliverer?.deliver(endpointId, event, signal)) ?? { delivered: false };
  }

  async function handle(name: string, event: OutboxEvent, stop: AbortController): Promise<AttemptResult> {
    const { tenantId, userId } = event;
    const over = new Error(`not done within ${handlerTimeoutMs} ms`);
    const timer = setTimeout(() => stop.abort(over), handlerTimeoutMs);
    const { signal } = stop;
    try {
      await Promise.race([
        withTenant(userId === null ? { tenantId } : { tenantId, userId }, () => consumers[name]?.handle(event, signal)),
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        }),
      ]);
      return { delivered: true };
    } catch (error) {
      onError(error, event);
      return { delivered: false, error: messageOf(error) };
    } finally {
      clearTimeout(timer);
    }
  }

  return {
    async start() {
      for (const [name, { topics }] of Object.entries(consumers)) {
        parseInput(topicFilters, topics);
        await system(() => registerConsumer(kernel, name, topics));
      }
      if (connect !== undefined) {
        listener = createListener({ connect, channels: ['tenantry_outbox'], onNotify: notify, onRestored: notify });
      }
      main = loop();
    },
    async stop() {
      stopping = true;
      notify();
      await main;
      await Promise.all(running);
      await listener?.close();
    },
  };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
