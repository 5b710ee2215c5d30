import { randomUUID } from 'node:crypto';
import type { PoolLike } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import type { Fence, State } from './state.ts';

/** How long a lease lasts without a heartbeat, in seconds. A runner that was killed frees it at once: its backend is gone. */
const leaseSeconds = 30;
const heartbeatMilliseconds = 5000;
/** A pause is seen within a second. */
const lookMilliseconds = 400;

type Listen = (event: 'error', listener: (error: Error) => void) => unknown;

export interface Lease {
  readonly fence: Fence;
  /** Throws when the lease was lost (another runner has taken over), and when somebody has asked for a pause. */
  assertHeld(): void;
  release(lastError: string | null): Promise<void>;
}

/**
 * Takes the run for this process. The lease is a row, not an advisory lock: it can be read, it has a time, and it fences every
 * write of state. A connection is kept for it, so that the server itself tells when its holder has died.
 *
 * @throws TNT_ADOPT_RUNNING while another runner holds it
 */
export async function takeLease(pool: PoolLike, state: State, runId: string): Promise<Lease> {
  const fence: Fence = { runId, runner: randomUUID() };
  const client = await pool.connect();
  let lost: Error | undefined;
  let paused = false;
  const onLost = (error: Error): void => {
    lost = error;
  };
  const listening = client as { on?: Listen; off?: Listen };
  listening.on?.('error', onLost);
  try {
    const { rows } = await client.query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid');
    const pid = rows[0]?.pid ?? 0;
    if (!(await state.takeLease(client, fence, pid, leaseSeconds))) {
      throw new TenantryError('TNT_ADOPT_RUNNING', 'Another process is running this adoption.');
    }
    // one statement after the other, and none twice in the queue: an answer may take longer than the time between two questions
    let asking: Promise<void> = Promise.resolve();
    const every = (milliseconds: number, ask: () => Promise<void>): NodeJS.Timeout => {
      let waiting = false;
      return setInterval(() => {
        if (waiting) return;
        waiting = true;
        asking = asking
          .then(ask)
          .catch((error: unknown) => onLost(error instanceof Error ? error : new Error(String(error))))
          .finally(() => {
            waiting = false;
          });
      }, milliseconds);
    };
    const timers = [
      every(heartbeatMilliseconds, async () => {
        if (!(await state.takeLease(client, fence, pid, leaseSeconds))) lost = new Error('taken over');
      }),
      every(lookMilliseconds, async () => {
        paused = await state.isPaused(client, runId);
      }),
    ];
    for (const timer of timers) timer.unref();
    return {
      fence,
      assertHeld() {
        if (lost !== undefined) {
          throw new TenantryError('TNT_ADOPT_RUNNING', 'This process lost its hold on the adoption.', { cause: lost });
        }
        if (paused) throw new TenantryError('TNT_ADOPT_PAUSED', 'The adoption was paused; its state is kept.');
      },
      async release(lastError) {
        for (const timer of timers) clearInterval(timer);
        await asking;
        let broken: Error | undefined = lost;
        try {
          if (lost === undefined) await state.dropLease(client, fence, lastError);
        } catch (error) {
          broken = error instanceof Error ? error : new Error(String(error));
        } finally {
          listening.off?.('error', onLost);
          client.release(broken);
        }
      },
    };
  } catch (error) {
    listening.off?.('error', onLost);
    client.release();
    throw error;
  }
}
