import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileSources } from '../isolation/compiled.ts';
import { type Customer, eventually, keysFixture, newCustomer, pepper, refusalOf } from './fixture.ts';
import { openWire, type OtherProcess, otherProcess, type Wire } from './processes.ts';

const f = keysFixture();

describe('C5 a revocation reaches', () => {
  let a: Customer;
  let folder: string;
  const opened: (OtherProcess | Wire)[] = [];

  beforeAll(async () => {
    a = await newCustomer(f);
    ({ folder } = await compileSources());
  });
  afterAll(async () => {
    for (const one of opened) await ('end' in one ? one.end() : one.close());
  });

  /** What a restart of the server does to everybody who is connected. */
  const endConnections = async (): Promise<void> => {
    const root = new pg.Client({ connectionString: f.db.superuserUrl });
    await root.connect();
    await root.query(
      'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
    );
    await root.end();
  };
  const makeKey = async () => a.asAdmin(() => f.t.keys.create({ name: 'server' }));
  const start = (key: string, listenUrl = f.db.appUrl): OtherProcess => {
    const process = otherProcess({ folder, url: f.db.appUrl, listenUrl, pepper, key });
    opened.push(process);
    return process;
  };
  /** Milliseconds after the revocation was done at which a verification began that was still accepted; 0: none. */
  const revokedUnder = async (
    id: string,
    others: readonly OtherProcess[],
    refusedWithin = 8_000,
  ): Promise<number[]> => {
    await a.asAdmin(() => f.t.keys.revoke(id));
    const done = Date.now();
    const seen = await Promise.all(
      others.map((other) => other.until((s) => s.firstRefused !== undefined, refusedWithin)),
    );
    return seen.map(({ lastAccepted = 0 }) => Math.max(0, lastAccepted - done));
  };

  it('the same process at once, and others within a second', async () => {
    const { key, apiKey } = await makeKey();
    const others = [start(key), start(key)];
    for (const other of others) await other.until((s) => s.listening && s.accepted > 20);
    await f.t.keys.verify(key);
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id));
    const done = Date.now();
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    for (const other of others) {
      const { lastAccepted = 0 } = await other.until((s) => s.firstRefused !== undefined, 5_000);
      expect(lastAccepted - done).toBeLessThanOrEqual(1_000);
    }
    // back, and once more: with all connections ended by the server, as a restart does it
    await a.asAdmin(() => f.t.keys.restore(apiKey.id));
    for (const other of others) await other.until((s) => s.firstRefused === undefined);
    await endConnections();
    for (const late of await revokedUnder(apiKey.id, others)) expect(late).toBeLessThanOrEqual(5_000);
  });

  it('another process within five seconds whose listening connection was cut without a sign', async () => {
    const { key, apiKey } = await makeKey();
    const wire = await openWire(f.db.appUrl);
    const other = start(key, wire.url);
    opened.push(wire);
    await other.until((s) => s.listening && s.accepted > 20);
    wire.freeze();
    const [late] = await revokedUnder(apiKey.id, [other]);
    expect(late).toBeLessThanOrEqual(5_000);
  });

  it('requests whose look-up was under way: what was read before is neither kept nor used', async () => {
    const { key, apiKey } = await makeKey();
    const other = f.another();
    await eventually(async () => {
      await other.keys.verify(key);
      return (
        (
          await f.db.query(
            `select 1 from pg_stat_activity where application_name = 'tenantry keys' and datname = current_database()`,
          )
        ).length >= 1
      );
    });
    const racing = Array.from({ length: 40 }, async (_, i) => {
      await new Promise((done) => setTimeout(done, i % 5));
      return refusalOf((i % 2 === 0 ? f.t : other).keys.verify(key));
    });
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id));
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    await Promise.all(racing);
    await eventually(async () => (await refusalOf(other.keys.verify(key))) === 'TNT_KEY_INACTIVE revoked');
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
  });
});
