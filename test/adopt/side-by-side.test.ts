import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, createLegacyLogins, type Phase } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { copyIn, oldPlans, oldPrepared, oldQueries, oldSchema } from './old-application.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const login = `old_app_${randomBytes(4).toString('hex')}`;
let db: TestDatabase;
let pool: pg.Pool;
let url: string;
/** One connection that the old application keeps open all the time. */
let old: pg.Client;
let expected: Awaited<ReturnType<typeof everything>>;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.query(
    `create role ${login} login password 'old'; grant ${login} to tenantry_admin; grant create on schema public to ${login}`,
  );
  const place = new URL(db.adminUrl);
  place.username = login;
  place.password = 'old';
  url = place.toString();
  old = new pg.Client({ connectionString: url });
  await old.connect();
  await old.query(oldSchema);
  await old.query('analyze');
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 8 });
  pool.on('error', () => {});
  expected = await everything(old);
});
afterEach(async () => {
  const adopt = createAdopt({ adminPool: pool });
  if ((await adopt.status())?.status === 'open') expect((await adopt.undo()).differences).toEqual([]);
});
afterAll(async () => {
  await old.end();
  await pool.end();
  await db.drop();
  const last = new pg.Client({ connectionString: new URL('/postgres', db.superuserUrl).toString() });
  await last.connect();
  await last.query(`drop role if exists ${login}`);
  await last.end();
});

async function rolledBack<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('begin');
  try {
    return await work();
  } finally {
    await client.query('rollback');
  }
}

/** Everything that the old application asks, answered now. */
async function everything(client: pg.Client) {
  const answers: Record<string, unknown> = {};
  for (const { name, run } of oldQueries) answers[name] = await rolledBack(client, () => run(client));
  for (const prepared of oldPrepared)
    answers[prepared.name] = await rolledBack(client, async () => (await client.query(prepared)).rows as unknown[]);
  return answers;
}

/** The condition by which an index finds the rows; what stands in a filter would be read first. */
async function scans(text: string): Promise<string> {
  return rolledBack(old, async () => {
    await old.query('set local enable_seqscan = off; set local enable_bitmapscan = off');
    const { rows } = await old.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${text}`);
    return rows
      .map((row) => row['QUERY PLAN'].trim())
      .filter((line) => line.startsWith('Index Cond'))
      .join('\n');
  });
}

const rehearsed: readonly Phase[] = ['expand', 'backfill', 'verify', 'tighten', 'shadow'];

async function compare(phase: Phase): Promise<void> {
  const answers = await everything(old);
  for (const [name, answer] of Object.entries(expected)) expect(answers[name], `${phase}: ${name}`).toEqual(answer);
  for (const { text, condition } of oldPlans) expect(await scans(text), `${phase}: ${text}`).toContain(condition);
}

async function compareCopy(phase: Phase): Promise<void> {
  const work = rolledBack(old, () => copyIn(old));
  if (phase === 'shadow' || phase === 'enforced') await expect(work, phase).rejects.toMatchObject({ code: '0A000' });
  else expect(await work, phase).toEqual([{ id: 800, customer_id: 6, status: 'open' }]);
}

describe('E5, F2: the old application gets the same answers in every phase', () => {
  test('one organization for each shop, up to shadow', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    expect(plan.order).toHaveLength(5);
    for (const phase of rehearsed) {
      await adopt.run(plan, { to: phase });
      await compare(phase);
      await compareCopy(phase);
    }
    await adopt.undo();
    await compare('preflight');
  });

  test('one organization for everything, through enforcement by its legacy login', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ constant: 'System Tenant' });
    for (const phase of rehearsed) {
      await adopt.run(plan, { to: phase });
      await compare(phase);
      await compareCopy(phase);
    }
    await createLegacyLogins(pool, 'tenantry').declare(login, 'system-tenant');
    await adopt.run(plan, { to: 'enforced', force: true });
    await compare('enforced');
    await compareCopy('enforced');

    // a row that it writes is the organization's, and another organization sees none of them
    await old.query(`insert into shops values (3, 'East', 'eu')`);
    expect(
      await db.query('select count(distinct tenant_id)::int as tenants, count(*)::int as shops from shops'),
    ).toEqual([{ tenants: 1, shops: 3 }]);
    const { rows } = await db.admin.query<{ id: string }>(
      `insert into tenantry.organizations (name, slug) values ('Another', 'another') returning id::text`,
    );
    const app = new pg.Client({ connectionString: db.appUrl });
    await app.connect();
    await app.query(`begin; select set_config('app.tenant_id', '${rows[0]?.id}', true)`);
    expect((await app.query('select 1 from shops')).rows).toEqual([]);
    await app.end();
    await old.query('delete from shops where id = 3');
  });

  test('what it notices: SELECT * has one column more, and a named prepared one must be prepared again, once', async () => {
    const star = { name: 'star', text: 'select * from shops where id = $1', values: [1] };
    expect((await old.query(star)).rows).toEqual([{ id: 1, name: 'North', region: 'eu' }]);
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'expand' });
    await expect(old.query(star)).rejects.toMatchObject({
      code: '0A000',
      message: 'cached plan must not change result type',
    });
    const again = new pg.Client({ connectionString: url });
    await again.connect();
    expect((await again.query(star)).fields.map(({ name }) => name)).toEqual(['id', 'name', 'region', 'tenant_id']);
    await again.end();
    expect((await old.query('select * from open_orders limit 0')).fields.map(({ name }) => name)).toEqual([
      'id',
      'name',
      'placed_on',
    ]);
  });
});
