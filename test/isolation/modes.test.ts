import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createIsolation } from '../../src/isolation/index.ts';
import { catalogOf } from './catalog.ts';
import { compileSources } from './compiled.ts';
import { createShop, inContext, items, plainPool, type Shop } from './shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await createShop(
    `${items}
    create table public.notes (id bigserial primary key, tenant_id uuid, body text);
    insert into public.notes (tenant_id, body) values (:acme, 'a'), (:bolt, 'b');
    create table public.parts (id int, tenant_id uuid) partition by range (id);
    create table public.parts_low partition of public.parts for values from (0) to (100);
    create table public.parts_high partition of public.parts for values from (100) to (200) partition by range (id);
    create table public.parts_high_1 partition of public.parts_high for values from (100) to (150);
    insert into public.parts values (1, :acme), (2, :bolt), (120, :acme), (121, :bolt);
    create table public.keyed (id int primary key, account_id bigint, unique (account_id, id));
    insert into public.keyed select i, i % 3 from generate_series(1, 30) i;
    create table public.mail (id int primary key, tenant_id uuid not null, user_id uuid);
  `,
  );
});
afterAll(async () => {
  await shop.drop();
});

const count = (table: string): string => `select count(*)::int as n from public.${table}`;
const statusOf = async (table: string) =>
  (await shop.isolation.status()).find((status) => status.table === `public.${table}`);

describe('modes: off, shadow, enforced, switched at run time', () => {
  it('D4 a host table goes through every mode; the answers and status follow', async () => {
    const results: unknown[] = [];
    const answers = async () => {
      const n = async (tenant: string | undefined) => (await shop.as(tenant, count('items')))[0]?.['n'];
      return [(await statusOf('items'))?.mode, await n(undefined), await n(shop.acme), await n(shop.bolt)];
    };
    await shop.isolation.shadow('items');
    results.push(await answers());
    await shop.isolation.enforce('items');
    results.push(await answers());
    await shop.isolation.off('public.items');
    results.push(await answers());
    await shop.isolation.enforce('items');
    results.push(await answers());
    expect(results).toEqual([
      ['shadow', 30, 30, 30],
      ['enforced', 0, 10, 20],
      ['off', 30, 30, 30],
      ['enforced', 0, 10, 20],
    ]);
    expect(await statusOf('items')).toMatchObject({
      drift: [],
      owner: 'tenantry_owner',
      keyType: 'uuid',
      forced: false,
    });
  });

  it('enforced writes reach own rows alone', async () => {
    const asAcme = (sql: string) => shop.as(shop.acme, sql);
    await expect(asAcme(`insert into public.items values (60, '${shop.bolt}', 'x')`)).rejects.toMatchObject({
      code: '42501',
    });
    await expect(asAcme(`update public.items set tenant_id = '${shop.bolt}' where id = 1`)).rejects.toMatchObject({
      code: '42501',
    });
    await asAcme("update public.items set t = 'changed'");
    await asAcme('delete from public.items where id in (10, 11)');
    expect(
      await shop.db.query(
        "select count(*) filter (where t = 'changed')::int as changed, count(*)::int as n from public.items",
      ),
    ).toEqual([{ changed: 9, n: 29 }]);
  });

  it('what a switch executes is data, ends in the mode it names, and does nothing more when repeated', async () => {
    const { from, to, statements } = await shop.isolation.enforce('items');
    expect([from, to]).toEqual(['enforced', 'enforced']);
    expect(statements.every(({ text, purpose }) => text !== '' && purpose !== '')).toBe(true);
    expect(statements.some(({ text }) => text.includes('owner to'))).toBe(false);
    expect(await statusOf('items')).toMatchObject({ mode: 'enforced', drift: [] });
  });

  it('off with restoreOwner gives owner, grants, flags and policies back as they were', async () => {
    await shop.db.query(`grant select, insert on public.notes to public`);
    await shop.db.query(`grant usage on sequence public.notes_id_seq to public`);
    for (const table of ['notes', 'parts']) {
      const before = await catalogOf(shop.db);
      await shop.isolation.shadow(table);
      expect(await catalogOf(shop.db)).not.toEqual(before);
      await shop.isolation.enforce(table);
      await shop.isolation.off(table, { restoreOwner: true });
      expect(await catalogOf(shop.db)).toEqual(before);
      expect(await statusOf(table)).toMatchObject({ mode: 'off', drift: [] });
    }
  });

  it('the former owner goes on reading, writing and drawing numbers, and no longer changes the table', async () => {
    await shop.isolation.shadow('notes');
    await inContext(shop.old, undefined, [
      "insert into public.notes (body) values ('old code')",
      "update public.notes set body = 'x' where body = 'old code'",
      "delete from public.notes where body = 'x'",
    ]);
    await expect(shop.old.query('alter table public.notes add column c int')).rejects.toMatchObject({ code: '42501' });
    await expect(shop.old.query('truncate public.notes')).rejects.toMatchObject({ code: '42501' });
    await shop.isolation.off('notes', { restoreOwner: true });
    await shop.old.query('alter table public.notes add column c int');
  });

  it('partitions at every depth carry the policies, also when they are queried by name', async () => {
    await shop.db.query('grant select on public.parts_high_1, public.parts_low to tenantry_app');
    await shop.isolation.enforce('parts');
    expect(await shop.as(shop.acme, count('parts'))).toEqual([{ n: 2 }]);
    expect(await shop.as(shop.acme, count('parts_high_1'))).toEqual([{ n: 1 }]);
    expect(await shop.as(undefined, count('parts_low'))).toEqual([{ n: 0 }]);
    expect(await statusOf('parts')).toMatchObject({ partitions: 3, drift: [] });
    await shop.db.query('create table public.parts_new partition of public.parts for values from (200) to (300)');
    expect((await statusOf('parts'))?.drift).toEqual(['partitions without policies: public.parts_new']);
    await shop.isolation.protect('parts');
    expect(await statusOf('parts')).toMatchObject({ partitions: 4, drift: [], mode: 'enforced' });
  });

  it('a table keyed by the host’s own key compares it with app.tenant_key; shadow takes a key that is no number for a miss', async () => {
    const keyed = (key: string, sql: string) =>
      inContext(shop.app, shop.acme, [sql], key === '' ? {} : { 'app.tenant_key': key });
    await shop.isolation.shadow('keyed', { column: 'account_id' });
    expect(await keyed('1', count('keyed'))).toEqual([{ n: 30 }]);
    expect(await keyed('', count('keyed'))).toEqual([{ n: 30 }]);
    await shop.isolation.enforce('keyed');
    expect(await keyed('1', count('keyed'))).toEqual([{ n: 10 }]);
    expect(await shop.as(undefined, count('keyed'))).toEqual([{ n: 0 }]);
    await expect(keyed('', count('keyed'))).rejects.toMatchObject({ code: '22P02' });
    await expect(keyed('1', 'insert into public.keyed values (99, 2)')).rejects.toMatchObject({ code: '42501' });
    expect(await statusOf('keyed')).toMatchObject({ keyType: 'bigint', column: 'account_id' });
  });

  it('A7 an owner column: mine, or nobody’s, or I may read all — for reads and writes, in shadow and enforced', async () => {
    const [u1 = { id: '' }, u2 = { id: '' }] = await shop.db.query<{ id: string }>(
      `insert into tenantry.users (email) values ('one@${shop.host}.test'), ('two@${shop.host}.test') returning id`,
    );
    await shop.db.query(
      'insert into tenantry.org_members (tenant_id, user_id, role) values ($1, $2, $4), ($1, $3, $5)',
      [shop.acme, u1.id, u2.id, 'member', 'admin'],
    );
    await shop.db.query(
      `insert into public.mail values (1, '${shop.acme}', '${u1.id}'), (2, '${shop.acme}', '${u2.id}'), (3, '${shop.acme}', null), (4, '${shop.bolt}', null), (5, '${shop.bolt}', '${u1.id}')`,
    );
    const as = async (user: string, sql: string) =>
      inContext(shop.app, shop.acme, [sql], user === '' ? {} : { 'app.user_id': user });
    const ids = async (user: string) =>
      (await as(user, 'select array_agg(id order by id) as ids from public.mail'))[0]?.['ids'];
    await shop.isolation.shadow('mail', { owner: { column: 'user_id', readAll: 'mail.read_all' } });
    expect(await ids(u1.id)).toEqual([1, 2, 3, 4, 5]);
    expect(await inContext(shop.old, shop.acme, [count('mail')])).toEqual([{ n: 5 }]);
    expect(
      await inContext(
        shop.app,
        shop.acme,
        ['select * from public.mail', "select current_setting('app.miss_r', true) as n"],
        { 'app.user_id': u1.id },
      ),
    ).toEqual([{ n: '3' }]);
    await shop.isolation.enforce('mail');
    expect(await ids(u1.id)).toEqual([1, 3]);
    expect(await ids(u2.id)).toEqual([1, 2, 3]); // an admin holds every permission
    expect(await ids('')).toEqual([3]); // no user: nobody's rows
    await expect(as(u1.id, `insert into public.mail values (6, '${shop.acme}', '${u2.id}')`)).rejects.toMatchObject({
      code: '42501',
    });
    await as(u1.id, 'update public.mail set user_id = user_id where id = 2');
    // a permissive policy of the application's own does not widen it
    await shop.db.query('create policy open on public.mail using (true) with check (true)');
    expect(await ids(u1.id)).toEqual([1, 3]);
    await shop.db.query('drop policy open on public.mail');
  });

  it('keepOwner binds an owner that stays; withoutForce lifts it for VALIDATE, which would pass over orphans', async () => {
    await shop.hostRuns(`
      create table public.roots (id int primary key, tenant_id uuid);
      create table public.leaves (id int primary key, tenant_id uuid, root_id int);
      insert into public.leaves values (1, :acme, 404);
      alter table public.leaves add constraint leaves_root foreign key (root_id) references public.roots (id) not valid;
    `);
    for (const table of ['roots', 'leaves']) await shop.isolation.enforce(table, { keepOwner: true });
    expect(await statusOf('leaves')).toMatchObject({ owner: shop.host, forced: true, keepOwner: true, drift: [] });
    expect(await inContext(shop.old, undefined, [count('leaves')])).toEqual([{ n: 0 }]);
    await shop.old.query('begin; alter table public.leaves validate constraint leaves_root');
    await shop.old.query('rollback'); // accepted: it saw no rows
    const host = plainPool(shop.hostUrl);
    const lifted = createIsolation({ admin: host }).withoutForce('leaves', (tx) =>
      tx.query('alter table public.leaves validate constraint leaves_root'),
    );
    await expect(lifted).rejects.toMatchObject({ code: '23503' });
    await createIsolation({ admin: host }).withoutForce('leaves', (tx) =>
      tx.query('delete from public.leaves where root_id = 404'),
    );
    expect(await statusOf('leaves')).toMatchObject({ forced: true, drift: [] });
    expect(
      await shop.db.query('select validated.convalidated from pg_constraint validated where conname = $1', [
        'leaves_root',
      ]),
    ).toEqual([{ convalidated: false }]);
    await host.end();
  });

  it('status tells what somebody changed by hand', async () => {
    await shop.isolation.enforce('items');
    await shop.db.query('alter policy tenantry_floor on public.items using (true)');
    expect((await statusOf('items'))?.drift).toEqual(['policies were changed by hand']);
    await shop.db.query('alter table public.items disable row level security');
    expect((await statusOf('items'))?.drift).toContain('row-level security is disabled');
    await shop.isolation.protect('items');
    expect((await statusOf('items'))?.drift).toEqual([]);
    expect(await shop.as(shop.acme, count('items'))).toEqual([{ n: 9 }]);
    await shop.db.query('alter table public.items rename to things');
    expect((await statusOf('items'))?.drift).toEqual(['the table is gone or was renamed']);
    await shop.db.query('alter table public.things rename to items');
  });

  it('names what is wrong: unknown table, no tenant column, a login without the right', async () => {
    await expect(shop.isolation.shadow('nowhere')).rejects.toMatchObject({ code: 'TNT_TABLE_UNKNOWN' });
    await expect(shop.isolation.shadow('a.b.c')).rejects.toMatchObject({ code: 'TNT_TABLE_UNKNOWN' });
    await expect(shop.isolation.shadow('roots', { column: 'owner' })).resolves.toBeDefined(); // it is known: its column counts
    await shop.hostRuns('create table public.plain (id int)');
    await expect(shop.isolation.shadow('plain')).rejects.toMatchObject({ code: 'TNT_TABLE_NOT_PROTECTED' });
    await expect(shop.isolation.shadow('plain', { column: 'id', owner: { column: 'id' } })).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
    const app = plainPool(shop.db.appUrl);
    await expect(createIsolation({ admin: app }).shadow('plain')).rejects.toMatchObject({
      code: 'TNT_PRIVILEGE_MISSING',
    });
    await expect(createIsolation({ admin: app }).status()).rejects.toMatchObject({ code: 'TNT_PRIVILEGE_MISSING' });
    await app.end();
    await shop.db.query('alter table public.keyed rename column account_id to gone');
    await expect(shop.isolation.off('keyed')).rejects.toMatchObject({ code: 'TNT_TABLE_DRIFTED' });
  });
});

describe('modes under load', () => {
  it('switching while eight clients read and write fails none of their statements', async () => {
    await shop.hostRuns(
      'create table public.busy (id int generated always as identity primary key, tenant_id uuid, n int); create index on public.busy (tenant_id, id)',
    );
    await shop.isolation.shadow('busy');
    const pool = plainPool(shop.db.appUrl, 8);
    const state = { run: true, statements: 0 };
    const failures: unknown[] = [];
    const worker = async (tenant: string): Promise<void> => {
      while (state.run) {
        const client = await pool.connect();
        try {
          await client.query('begin');
          await client.query("select set_config('app.tenant_id', $1, true)", [tenant]);
          await client.query('insert into public.busy (tenant_id, n) values ($1, 1)', [tenant]);
          await client.query('update public.busy set n = n + 1 where tenant_id = $1 and n < 3', [tenant]);
          const { rows } = await client.query<{ others: number }>(
            'select count(*) filter (where tenant_id <> $1)::int as others from public.busy where tenant_id = $1',
            [tenant],
          );
          if (rows[0]?.others !== 0) throw new Error('a foreign row');
          await client.query('commit');
          state.statements += 5;
        } catch (error) {
          failures.push(error);
          await client.query('rollback');
        } finally {
          client.release();
        }
      }
    };
    const workers = Array.from({ length: 8 }, (_, i) => worker(i % 2 === 0 ? shop.acme : shop.bolt));
    for (let round = 0; round < 4; round += 1) {
      await shop.isolation.enforce('busy', { force: true });
      await shop.isolation.off('busy');
      await shop.isolation.shadow('busy');
    }
    state.run = false;
    await Promise.all(workers);
    await pool.end();
    expect(failures).toEqual([]);
    expect(state.statements).toBeGreaterThan(50);
  });

  it('many tables of one schema at once: two sessions that grant on one schema do not fail each other', async () => {
    const tables = Array.from({ length: 8 }, (_, i) => `parallel_${i}`);
    await shop.hostRuns(tables.map((table) => `create table public.${table} (id int, tenant_id uuid)`).join(';'));
    const admin = plainPool(shop.db.adminUrl, 8);
    const isolation = createIsolation({ admin });
    for (const mode of ['shadow', 'enforce'] as const) {
      await Promise.all(tables.map((table) => isolation[mode](table)));
    }
    await Promise.all(tables.map((table) => isolation.off(table, { restoreOwner: true })));
    const modes = (await isolation.status()).filter(({ table }) => table.includes('parallel_'));
    expect(modes.map(({ mode, drift, owner }) => [mode, drift, owner])).toEqual(
      tables.map(() => ['off', [], shop.host]),
    );
    await admin.end();
  });

  it('a held lock ends in TNT_LOCK_TIMEOUT, names the holder, and nothing is changed', async () => {
    const holder = new Client({ connectionString: shop.hostUrl, application_name: 'report' });
    await holder.connect();
    await holder.query('begin; select * from public.busy limit 1');
    const before = await statusOf('busy');
    const error = await shop.isolation
      .enforce('busy', { force: true, lockTimeout: 1000, attempts: 2, maxPause: 20 })
      .catch((error: unknown) => error);
    await holder.query('rollback');
    await holder.end();
    // an autovacuum of the table may be in the way as well
    const blocker = expect.objectContaining({ application: 'report', state: 'idle in transaction' });
    expect(error).toMatchObject({
      code: 'TNT_LOCK_TIMEOUT',
      details: { blockers: expect.arrayContaining([blocker]) },
    });
    expect(await statusOf('busy')).toEqual(before);
  });

  it('a process killed between two tables leaves each table wholly in one mode', async () => {
    const tables = Array.from({ length: 12 }, (_, i) => `killed_${i}`);
    await shop.hostRuns(
      tables.map((table) => `create table public.${table} (id int primary key, tenant_id uuid)`).join(';'),
    );
    for (const table of tables) await shop.isolation.shadow(table);
    const compiled = await compileSources();
    const script = `
      import { Pool } from 'pg';
      import { createIsolation } from './isolation/index.js';
      const isolation = createIsolation({ admin: new Pool({ connectionString: process.env.ADMIN }) });
      for (const table of process.env.TABLES.split(',')) { await isolation.enforce(table); process.stdout.write('x'); }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: compiled.folder,
      env: { ...process.env, ADMIN: shop.db.adminUrl, TABLES: tables.join(',') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let done = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      done += chunk.length;
      if (done >= 4) child.kill('SIGKILL');
    });
    await once(child, 'exit');
    const statuses = (await shop.isolation.status()).filter(({ table }) => table.includes('killed_'));
    expect(statuses).toHaveLength(tables.length);
    expect(statuses.flatMap(({ drift }) => drift)).toEqual([]);
    const enforced = statuses.filter(({ mode }) => mode === 'enforced').length;
    expect(enforced).toBeGreaterThanOrEqual(4);
    expect(enforced).toBeLessThan(tables.length);
    for (const table of tables) await shop.isolation.enforce(table);
    expect(
      (await shop.isolation.status()).filter(({ table, mode }) => table.includes('killed_') && mode === 'enforced'),
    ).toHaveLength(tables.length);
  });
});
