import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { createTestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 60_000 });

test('a connection is asked one thing at a time, also while its answers are late', async () => {
  const db = await createTestDatabase();
  const pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  let most = 0;
  // real connections, each with a count of what it has not answered yet
  pool.on('connect', (client) => {
    const query = client.query.bind(client) as (...values: unknown[]) => unknown;
    let open = 0;
    client.query = ((...values: unknown[]): unknown => {
      const answer = query(...values);
      if (!(answer instanceof Promise)) return answer;
      open += 1;
      most = Math.max(most, open);
      return answer.finally(() => (open -= 1));
    }) as typeof client.query;
  });
  const other = new pg.Client({ connectionString: db.adminUrl });
  await other.connect();
  try {
    await db.query(`
      create table shops (id int primary key);
      create table orders (id int primary key, shop_id int not null references shops (id));
      insert into shops values (1), (2);
      insert into orders select n, 1 + n % 2 from generate_series(1, 100) n`);
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    let held = false;
    await adopt.run(plan, {
      to: 'backfill',
      async throttle() {
        if (held) return 0;
        held = true;
        // whoever asks whether the run was paused waits, longer than until it asks again
        await other.query('begin; lock table tenantry.adoption_runs in access exclusive mode');
        await sleep(1500);
        await other.query('rollback');
        return 0;
      },
    });
    expect([held, most]).toEqual([true, 1]);
    expect((await adopt.undo()).differences).toEqual([]);
  } finally {
    await other.end();
    await pool.end();
    await db.drop();
  }
});
