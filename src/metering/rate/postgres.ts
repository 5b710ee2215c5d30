import { runOutsideContext, withSystem } from '../../context/index.ts';
import type { Kernel } from '../../database/kernel.ts';
import { type Cell, cellsOf, decisionOf } from './gcra.ts';
import { forgetRates, sweepRates, takeRates } from './queries.ts';
import type { RateDecision, RateLimiter } from './types.ts';

export interface PostgresRateLimiterOptions {
  /** Requests that share one statement, at most. Defaults to 200. */
  readonly maxBatch?: number;
  /** Statements at once. Defaults to 2: while one commits, the next is gathered. */
  readonly maxInFlight?: number;
  /** How often states that mean nothing any more are looked for, in milliseconds of use. Defaults to 10 seconds. */
  readonly sweepEveryMs?: number;
}

interface Waiting {
  readonly cells: readonly Cell[];
  resolve(decision: RateDecision): void;
  reject(error: unknown): void;
}

/**
 * GCRA in PostgreSQL: one state per key for all nodes, by the server's clock, so that nothing passes beyond the limit
 * however many nodes ask. Requests of one process that come at the same time share one statement.
 *
 * @example
 * ```ts
 * const limiter = createPostgresRateLimiter(t.kernel);
 * const decision = await limiter.take([
 *   { key: `${tenantId}/api`, rate: { limit: 600, periodMs: 60_000, burst: 50 } },
 *   { key: `${tenantId}/api/key/${keyId}`, rate: { limit: 10, periodMs: 1_000 } },
 * ]);
 * ```
 */
export function createPostgresRateLimiter(kernel: Kernel, options: PostgresRateLimiterOptions = {}): RateLimiter {
  const { maxBatch = 200, maxInFlight = 2, sweepEveryMs = 10_000 } = options;
  let waiting: Waiting[] = [];
  let inFlight = 0;
  let sweptAt = performance.now();

  function pump(): void {
    while (waiting.length > 0 && inFlight < maxInFlight) {
      const batch = waiting.slice(0, maxBatch);
      waiting = waiting.slice(maxBatch);
      inFlight += 1;
      // neither the tenant of whoever happens to be first, nor its transaction
      void runOutsideContext(() => withSystem('rate limits', () => flush(batch)))
        .catch((error: unknown) => {
          for (const { reject } of batch) reject(error);
        })
        .finally(() => {
          inFlight -= 1;
          pump();
        });
    }
  }

  async function flush(batch: readonly Waiting[]): Promise<void> {
    const { allowed, ahead } = await takeRates(kernel, batchOf(batch));
    let at = 0;
    for (const [i, { cells, resolve }] of batch.entries()) {
      resolve(decisionOf(cells, ahead.slice(at, at + cells.length), allowed[i] === true));
      at += cells.length;
    }
    if (performance.now() - sweptAt < sweepEveryMs) return;
    sweptAt = performance.now();
    await sweepRates(kernel, 64).catch(() => undefined); // the next one finds them
  }

  return {
    take: (requests) =>
      new Promise((resolve, reject) => {
        waiting.push({ cells: cellsOf(requests), resolve, reject });
        // what comes in the same tick comes along
        if (waiting.length === 1 && inFlight < maxInFlight) queueMicrotask(pump);
      }),
    forget: (keys) => withSystem('rate limits', () => forgetRates(kernel, keys)),
  };
}

function batchOf(batch: readonly Waiting[]): Parameters<typeof takeRates>[1] {
  const slots = new Map<string, number>();
  const cells = batch.flatMap((one, group) => one.cells.map((cell) => ({ ...cell, group })));
  for (const { key } of cells) if (!slots.has(key)) slots.set(key, slots.size + 1);
  return {
    keys: [...slots.keys()],
    groups: cells.map(({ group }) => group),
    slots: cells.map(({ key }) => slots.get(key) ?? 0),
    steps: cells.map(({ step }) => step),
    bursts: cells.map(({ burst }) => burst),
    costs: cells.map(({ cost }) => cost),
  };
}
