import type { PoolLike } from './kernel.ts';

interface Emitter {
  on?(event: string, listener: (given: Emitter) => void): unknown;
}

const steady = new WeakSet<object>();

/**
 * Lets a process outlive a connection that is lost between two statements: `pg` reports that as an event of the client, and an
 * event that nobody listens to ends the process. The next statement on that connection fails as usual.
 */
export function keepSteady(pool: PoolLike): void {
  if (steady.has(pool)) return;
  steady.add(pool);
  (pool as unknown as Emitter).on?.('acquire', (client) => {
    if (steady.has(client)) return;
    steady.add(client);
    client.on?.('error', () => {});
  });
}
