import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, phases } from '../../../src/adopt/index.ts';
import { createIsolation } from '../../../src/isolation/index.ts';
import { tenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const psql = ['/usr/lib/postgresql/15/bin/psql', '/usr/lib/postgresql/18/bin/psql'].find((path) => existsSync(path));

const schema = `
  create table public.shops (id bigint primary key, name text not null);
  create table public."O'Rders $$ now" (id bigint primary key, shop_id bigint not null references public.shops (id), touched int not null default 0);
  create table public.late (id bigint primary key, order_id bigint references public."O'Rders $$ now" (id) deferrable initially deferred);
  create table public.events (id bigint not null, shop_id bigint not null references public.shops (id), at date not null, primary key (id, at)) partition by range (at);
  create table public.events_1 partition of public.events for values from ('2026-01-01') to ('2026-07-01');
  create table public.events_2 partition of public.events for values from ('2026-07-01') to ('2027-01-01');
  create table public.migrations (id int primary key);
  create function public.touch() returns trigger language plpgsql as 'begin new.touched := new.touched + 1; return new; end';
  create trigger touch before update on public."O'Rders $$ now" for each row execute function public.touch();
  insert into public.shops select n, 'Shop ' || n from generate_series(1, 3) n;
  insert into public."O'Rders $$ now" select n, 1 + n % 3 from generate_series(1, 500) n;
  insert into public.late select n, n from generate_series(1, 20) n;
  insert into public.events select n, 1 + n % 3, date '2026-01-01' + n % 300 from generate_series(1, 500) n;`;

describe.skipIf(psql === undefined)('plan --sql', () => {
  let [byRun, byScript]: TestDatabase[] = [];
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tenantry-script-'));
    [byRun, byScript] = [await createTestDatabase(), await createTestDatabase()];
    for (const db of [byRun, byScript]) await db.query(schema);
  });
  afterAll(async () => {
    await byRun?.drop();
    await byScript?.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const tenantsOf = (db: TestDatabase) =>
    db.query(`
      select 'orders' as what, o.key, count(*)::int as rows from public."O'Rders $$ now" t join tenantry.organizations o on o.id = t.tenant_id and o.key = t.shop_id::text group by 2
      union all select 'events', o.key, count(*)::int from public.events t join tenantry.organizations o on o.id = t.tenant_id and o.key = t.shop_id::text group by 2
      union all select 'late', o.key, count(*)::int from public.late t join public."O'Rders $$ now" p on p.id = t.order_id join tenantry.organizations o on o.id = t.tenant_id and o.key = p.shop_id::text group by 2
      union all select 'touched', null, sum(touched)::int from public."O'Rders $$ now" order by 1, 2`);

  const runScript = async (db: TestDatabase, text: string): Promise<string> => {
    const file = join(folder, 'adopt.sql');
    await writeFile(file, text);
    try {
      await promisify(execFile)(psql!, ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', file, db.adminUrl]);
      return '';
    } catch (error) {
      return (error as { stderr: string }).stderr;
    }
  };

  test('B7: run by psql it makes what a run makes: the same schema, tenants and modes', async () => {
    const pool = new pg.Pool({ connectionString: byRun!.adminUrl, max: 6 });
    const adopt = createAdopt({ adminPool: pool });
    await adopt.run((await adopt.plan({ root: 'public.shops' })).plan);
    await pool.end();

    const { out, code } = await tenantry(['adopt', 'plan', '--sql', '--root', 'public.shops'], {
      DATABASE_URL: byScript!.adminUrl,
    });
    expect(code).toBe(0);
    expect(await runScript(byScript!, out)).toBe('');
    expect(await dumpSchema(byScript!.admin)).toBe(await dumpSchema(byRun!.admin));
    const tenants = await tenantsOf(byScript!);
    expect(tenants).toEqual(await tenantsOf(byRun!));
    expect(tenants.reduce((sum, { what, rows }) => sum + (what === 'touched' ? 0 : Number(rows)), 0)).toBe(1020);
    expect(tenants.find(({ what }) => what === 'touched')).toMatchObject({ rows: 0 });
    const modes = async (db: TestDatabase) => {
      const admin = new pg.Pool({ connectionString: db.adminUrl, max: 1 });
      const status = await createIsolation({ admin }).status();
      await admin.end();
      return status.map(({ table, mode, drift }) => [table, mode, drift]);
    };
    expect(await modes(byScript!)).toEqual(await modes(byRun!));
  });

  test('B7: has every phase in order and every step of every kind, with a comment above each statement', async () => {
    const db = await createTestDatabase();
    try {
      await db.query(schema);
      const { out } = await tenantry(['adopt', 'plan', '--sql', '--root', 'public.shops'], {
        DATABASE_URL: db.adminUrl,
      });
      const heads = [...out.matchAll(/^-- =+ (\w+) =+$/gm)].map((m) => m[1]);
      // no key of it is made per tenant, so nothing goes at contract
      expect(heads).toEqual(phases.slice(1, -1));
      const { plan } = JSON.parse(
        (await tenantry(['adopt', 'plan', '--sql', '--json', '--root', 'public.shops'], { DATABASE_URL: db.adminUrl }))
          .out,
      ) as { plan: { steps: { id: string; up: unknown[] }[] } };
      const places = plan.steps.filter(({ up }) => up.length > 0).map(({ id }) => out.indexOf(`\n-- ${id}\n`));
      expect(places.every((place) => place > 0)).toBe(true);
      expect(new Set(plan.steps.map(({ id }) => id)).size).toBe(plan.steps.length);
      expect(out).not.toMatch(/\$[1-4](?![^]*\$statement)/);
      expect(out.match(/^begin;$/gm)!.length).toBe(out.match(/^commit;$/gm)!.length);
      for (const word of [
        'create index concurrently',
        'insert into tenantry.table_modes',
        'enable row level security',
        'create policy',
        'owner to tenantry_owner',
      ])
        expect(out).toContain(word);
    } finally {
      await db.drop();
    }
  });

  test('B7: stops at a check that finds something, before anything is enforced', async () => {
    const db = await createTestDatabase();
    try {
      await db.query(schema);
      const { out } = await tenantry(['adopt', 'plan', '--sql', '--root', 'public.shops'], {
        DATABASE_URL: db.adminUrl,
      });
      // a row that somebody gave to another tenant between backfill and verify
      const spoiled = out.replace(
        /\n-- =+ verify =+\n/,
        (head) =>
          `\nset session_replication_role = 'replica'; update public.events set tenant_id = (select id from tenantry.organizations where key = '3') where shop_id = 1; reset session_replication_role;${head}`,
      );
      const superuser = { ...db, adminUrl: db.superuserUrl };
      expect(await runScript(superuser, spoiled)).toMatch(/ERROR: +verify\/public\.events\/\d found something/);
      expect(await db.query(`select 1 from tenantry.table_modes where table_schema = 'public'`)).toEqual([]);
    } finally {
      await db.drop();
    }
  });
});
