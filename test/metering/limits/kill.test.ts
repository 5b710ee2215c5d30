import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { billingFixture, type Customer, newCustomer } from '../billing/fixture.ts';

const f = billingFixture();
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Another process that takes the organization's last place, says so, and then only waits. */
async function holder(customer: Customer, statements: readonly string[]): Promise<ChildProcess> {
  const script = `
    import pg from 'pg';
    const client = new pg.Client({ connectionString: process.env.URL });
    await client.connect();
    for (const text of JSON.parse(process.env.STATEMENTS)) await client.query(text);
    console.log('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('../../..', import.meta.url)),
    env: {
      ...process.env,
      URL: f.db.appUrl,
      STATEMENTS: JSON.stringify([`select set_config('app.tenant_id', '${customer.tenantId}', false)`, ...statements]),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

const consume = () => f.t.limits.consume({ metric: 'memories', eventId: randomUUID() });

describe('limits: a holder that is killed (kill -9)', () => {
  it('holds its place until its time is over, and not longer', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'memories', limit: 1 });
      const child = await holder(customer, [
        `select * from tenantry.limit_take('reserve', 'memories', 1, null, null, null, interval '3 seconds', null)`,
      ]);
      child.kill('SIGKILL');
      await once(child, 'exit');
      await expect(consume()).rejects.toMatchObject({ code: 'TNT_LIMIT_EXCEEDED' });
      const [row] = await f.db.query<{ left: number }>(
        `select extract(epoch from expires_at - now())::float8 * 1000 as left from tenantry.limit_reservations where tenant_id = $1`,
        [customer.tenantId],
      );
      await sleep(Math.max(0, row!.left) + 20);
      expect(await consume()).toMatchObject({ outcome: 'counted' });
    });
  });

  it('in the middle of a transaction leaves nothing: who waits for it goes on', async () => {
    const customer = await newCustomer(f);
    await customer.as(async () => {
      await f.t.limits.set({ metric: 'memories', limit: 1 });
      const child = await holder(customer, [
        'begin',
        `select * from tenantry.limit_take('consume', 'memories', 1, null, null, null, null, 'killed')`,
      ]);
      const waiting = consume();
      await sleep(100);
      child.kill('SIGKILL');
      expect(await waiting).toMatchObject({ outcome: 'counted' });
    });
    const events = await f.db.query('select id from tenantry.usage_events where tenant_id = $1', [customer.tenantId]);
    expect(events).toHaveLength(1);
  });
});
