import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planProtect, readLeakyIndexes, readTableFacts } from '../../src/isolation/index.ts';
import { createShop, inContext, type Shop } from './shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await createShop();
});
afterAll(async () => {
  await shop.drop();
});

const facts = (table: string) => readTableFacts(shop.db.admin, { schema: 'public', table });
const texts = async (table: string, empty = true, options = {}) =>
  planProtect(await facts(table), empty, options).map(({ text }) => text);

describe('protect: a new table becomes a tenant’s', () => {
  it('plans as data: column, key, foreign key, default, grants, policies; pure', async () => {
    await shop.hostRuns(
      'create table public.invoices (id bigint generated always as identity primary key, number text)',
    );
    const before = await facts('invoices');
    const planned = planProtect(before, true);
    expect(planned).toEqual(planProtect(before, true));
    const text = planned.map((statement) => statement.text).join('\n');
    for (const part of [
      'alter table "public"."invoices" add column "tenant_id" uuid',
      'alter column "tenant_id" set not null',
      'set default tenantry.current_tenant()',
      'add foreign key ("tenant_id") references tenantry.organizations (id)',
      'primary key ("tenant_id", "id")',
      'revoke truncate, references, trigger on "public"."invoices" from public, tenantry_app',
      'alter table "public"."invoices" owner to tenantry_owner',
      'grant select, insert, update, delete on "public"."invoices" to tenantry_app',
      'create policy "tenantry_floor" on "public"."invoices" as restrictive for all to public using ("tenant_id" = tenantry.current_tenant()) with check ("tenant_id" = tenantry.current_tenant())',
      'create policy "tenantry_access" on "public"."invoices" as permissive for all to public using (true) with check (true)',
      'enable row level security, no force row level security',
    ]) {
      expect(text).toContain(part);
    }
    expect(await facts('invoices')).toEqual(before);
    const other = planProtect(before, true, { schema: 'kernel' })
      .map((statement) => statement.text)
      .join('\n');
    expect(other).toContain('"kernel".current_tenant()');
    expect(other).not.toContain('tenantry.');
  });

  it('dry run changes nothing; the run does it all, and doing it again changes nothing', async () => {
    const before = await facts('invoices');
    expect((await shop.isolation.protect('invoices', { dryRun: true })).length).toBeGreaterThan(8);
    expect(await facts('invoices')).toEqual(before);
    await shop.isolation.protect('invoices');
    const after = await facts('invoices');
    expect(after).toMatchObject({
      owner: 'tenantry_owner',
      rowSecurity: true,
      forced: false,
      primaryKey: { columns: ['tenant_id', 'id'] },
    });
    await shop.isolation.protect('invoices');
    expect(await facts('invoices')).toEqual(after);
    expect((await shop.isolation.status()).find(({ table }) => table === 'public.invoices')).toMatchObject({
      mode: 'enforced',
      drift: [],
    });
  });

  it('inserts need not name the tenant; without one, or for another, they are refused', async () => {
    await shop.as(shop.acme, "insert into public.invoices (number) values ('A-1')");
    await shop.as(shop.bolt, "insert into public.invoices (number) values ('B-1')");
    expect(await shop.as(shop.acme, 'select number, tenant_id from public.invoices')).toEqual([
      { number: 'A-1', tenant_id: shop.acme },
    ]);
    await expect(shop.as(undefined, "insert into public.invoices (number) values ('?')")).rejects.toMatchObject({
      code: '42501',
    });
    await expect(
      shop.as(shop.acme, `insert into public.invoices (tenant_id, number) values ('${shop.bolt}', '?')`),
    ).rejects.toMatchObject({ code: '42501' });
    const nobody = '00000000-0000-7000-8000-000000000000';
    await expect(shop.as(nobody, "insert into public.invoices (number) values ('?')")).rejects.toMatchObject({
      code: '23503',
    });
    for (const sql of [
      'truncate public.invoices',
      'create trigger t before insert on public.invoices execute function tenantry.touch_updated_at()',
    ]) {
      await expect(shop.as(shop.acme, sql)).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('F4 the tenant’s index is used under the policy, for a list and for a point read', async () => {
    await shop.db.query(
      `insert into public.invoices (tenant_id, number) select case when i % 50 = 0 then '${shop.acme}'::uuid else '${shop.bolt}'::uuid end, 'N' || i from generate_series(1, 20000) i`,
    );
    await shop.db.query('analyze public.invoices');
    const plan = async (sql: string) => JSON.stringify(await shop.as(shop.acme, `explain (format json) ${sql}`));
    for (const sql of [
      'select * from public.invoices',
      'select * from public.invoices where id = 77',
      'select * from public.invoices order by id desc limit 50',
    ]) {
      const text = await plan(sql);
      expect(text, sql).toContain('"Index Name":"invoices_pkey"');
      expect(text, sql).toContain('tenant_id = tenantry.current_tenant()');
      expect(text, sql).not.toContain('"Node Type":"Seq Scan"');
    }
  });

  it('F4 the same for a host’s own key, and for an owner column', async () => {
    await shop.hostRuns(`create table public.ledger (account_id bigint not null, id int, note text, primary key (account_id, id));
      insert into public.ledger select i % 500, i, 'x' from generate_series(1, 20000) i;
      create table public.inbox (id int, tenant_id uuid not null, user_id uuid, primary key (tenant_id, id));
      insert into public.inbox select i, case when i % 2 = 0 then :acme::uuid else :bolt::uuid end, gen_random_uuid() from generate_series(1, 20000) i`);
    await shop.isolation.protect('ledger', { column: 'account_id' });
    await shop.isolation.protect('inbox', { owner: { column: 'user_id', readAll: 'inbox.read_all' } });
    await shop.db.query('analyze public.ledger, public.inbox');
    const plan = async (sql: string, settings: Record<string, string>) =>
      JSON.stringify(await inContext(shop.app, shop.acme, [`explain (format json) ${sql}`], settings));
    const ledger = await plan('select * from public.ledger', { 'app.tenant_key': '7' });
    expect(ledger).toContain('account_id = (tenantry.current_tenant_key())::bigint');
    expect(ledger).toMatch(/"Index Name":"ledger_pkey"/);
    const inbox = await plan('select * from public.inbox where user_id is not null and id = 8', {
      'app.user_id': shop.bolt,
    });
    expect(inbox).toMatch(/"Index Name":"inbox_(pkey|tenant_id_user_id_idx)"/);
    expect(inbox).not.toContain('Seq Scan');
  });

  it('keeps a key that others refer to and adds one with the tenant; a table without a key gets an index', async () => {
    await shop.hostRuns(`
      create table public.customers (id int primary key, tenant_id uuid not null);
      create table public.visits (customer_id int references public.customers (id));
      create table public.events (at timestamptz, tenant_id uuid);
      create table public.led (at timestamptz, tenant_id uuid); create index on public.led (tenant_id, at);
      create table public.ready (tenant_id uuid not null default tenantry.current_tenant(), id int, primary key (tenant_id, id));
    `);
    expect(await texts('customers')).toContain('alter table "public"."customers" add unique ("tenant_id", "id")');
    expect(await texts('events')).toContain('create index on "public"."events" ("tenant_id")');
    expect(
      (await texts('ready')).filter((text) => /primary key|unique|create index|set default|set not null/.test(text)),
    ).toEqual([]);
    expect((await texts('led')).filter((text) => text.startsWith('create index'))).toEqual([]);
    for (const table of ['customers', 'events', 'ready', 'visits']) await shop.isolation.protect(table);
    expect(await texts('customers')).not.toContain('alter table "public"."customers" add unique ("tenant_id", "id")');
    expect(await facts('events')).toMatchObject({ indexLeaders: ['tenant_id'] });
  });

  it('the host’s own key: no default, no foreign key, compared by its type', async () => {
    await shop.hostRuns(
      'create table public.accounts (account_id bigint not null, id int, primary key (account_id, id))',
    );
    const planned = await texts('accounts', true, { column: 'account_id' });
    expect(planned.filter((text) => /set default|foreign key|add column/.test(text))).toEqual([]);
    expect(planned.join('\n')).toContain('"account_id" = tenantry.current_tenant_key()::bigint');
  });

  it('a varchar key is compared in full: a cast that cuts could meet another key', async () => {
    await shop.hostRuns('create table public.coded (code varchar(4) not null, id int)');
    await shop.isolation.protect('coded', { column: 'code' });
    await shop.db.query("insert into public.coded values ('acme', 1)");
    const seen = (key: string) =>
      inContext(shop.app, shop.acme, ['select id from public.coded'], { 'app.tenant_key': key });
    expect(await seen('acme')).toEqual([{ id: 1 }]);
    expect(await seen('acme-two')).toEqual([]);
  });

  it('an owner column gets its index; partitions lose direct grants and carry the policies', async () => {
    await shop.hostRuns(`
      create table public.mails (id int, at date not null, user_id uuid, primary key (id, at)) partition by range (at);
      create table public.mails_2026 partition of public.mails for values from ('2026-01-01') to ('2027-01-01');
      grant select on public.mails_2026 to tenantry_app;
    `);
    await shop.isolation.protect('mails', { owner: { column: 'user_id' } });
    expect(await facts('mails')).toMatchObject({ primaryKey: { columns: ['tenant_id', 'id', 'at'] } });
    await shop.as(shop.acme, "insert into public.mails (id, at) values (1, '2026-02-02')");
    expect(await shop.as(shop.bolt, 'select * from public.mails')).toEqual([]);
    await expect(shop.as(shop.acme, 'select * from public.mails_2026')).rejects.toMatchObject({ code: '42501' });
    const [index] = await shop.db.query(
      "select indexdef from pg_indexes where tablename = 'mails' and indexdef like '%user_id%'",
    );
    expect(index?.['indexdef']).toContain('(tenant_id, user_id)');
  });

  it('off prepares a table and leaves it with its owner; the mode can follow later', async () => {
    await shop.hostRuns('create table public.soon (id int primary key)');
    await shop.isolation.protect('soon', { mode: 'off' });
    expect(await facts('soon')).toMatchObject({
      owner: shop.host,
      rowSecurity: false,
      primaryKey: { columns: ['tenant_id', 'id'] },
    });
    await shop.isolation.enforce('soon');
    expect(await facts('soon')).toMatchObject({ owner: 'tenantry_owner', rowSecurity: true });
  });

  it('refuses a table with rows that have no tenant, and points to adopt', async () => {
    await shop.hostRuns(
      'create table public.full1 (id int primary key); insert into public.full1 values (1); create table public.full2 (id int, tenant_id uuid); insert into public.full2 values (1)',
    );
    for (const table of ['full1', 'full2']) {
      await expect(shop.isolation.protect(table)).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
        hint: expect.stringContaining('tenantry adopt'),
      });
    }
    await shop.hostRuns(
      'create table public.full3 (id int, tenant_id uuid not null); insert into public.full3 values (1, :acme)',
    );
    await shop.isolation.protect('full3', { mode: 'shadow' });
    expect(await shop.as(shop.bolt, 'select id from public.full3')).toEqual([{ id: 1 }]);
  });

  it('a table that is protected already keeps its declaration and its way back, and its shadow stands in the way', async () => {
    await shop.hostRuns(
      'create table public.again (id int, tenant_id uuid); insert into public.again values (1, :acme)',
    );
    await shop.isolation.shadow('again');
    const dry = await shop.isolation.protect('again', { dryRun: true });
    expect(dry.map(({ text }) => text).join('\n')).toContain(`"owner":"${shop.host}"`);
    await shop.db.query(
      `select tenantry.record_shadow_misses('[{"table_schema":"public","table_name":"again","operation":"update","fingerprint":"f","rows":1,"occurrences":1,"status":"confirmed"}]')`,
    );
    await expect(shop.isolation.protect('again', { mode: 'enforced' })).rejects.toMatchObject({
      code: 'TNT_SHADOW_NOT_CLEAN',
    });
    await shop.isolation.protect('again');
    await shop.isolation.off('again', { restoreOwner: true });
    expect(await facts('again')).toMatchObject({ owner: shop.host });
  });

  it('takes the right to make temporary tables from the database when asked to', async () => {
    await shop.as(shop.acme, 'create temp table here (id int) on commit drop');
    await shop.hostRuns('create table public.last (id int primary key)');
    await shop.isolation.protect('last', { revokeTemporary: true });
    await expect(shop.as(shop.acme, 'create temp table here (id int)')).rejects.toMatchObject({ code: '42501' });
    await shop.db.query(`grant temporary on database ${shop.db.name} to public`);
  });

  it('0005 goes down only when no table is left that would lose its way back', async () => {
    const down = async () => {
      const client = await shop.db.admin.connect();
      try {
        await client.query('begin');
        await client.query('set local role tenantry_owner');
        await client.query(downSql);
      } finally {
        await client.query('rollback');
        client.release();
      }
    };
    const { listMigrations } = await import('../../src/database/migrations.ts');
    const downSql = listMigrations().find(({ name }) => name === 'isolation')?.down ?? '';
    await expect(down()).rejects.toMatchObject({
      message: expect.stringContaining('public.invoices (enforced)'),
      hint: expect.stringContaining('--restore-owner'),
    });
    for (const { table, mode } of await shop.isolation.status()) {
      if (mode !== 'off' && table.startsWith('public.')) await shop.isolation.off(table, { restoreOwner: true });
    }
    await down();
  });
});

describe('indexes that policies make useless', () => {
  it('names trigram-like, jsonb, array, numeric, pattern and function indexes, and no others', async () => {
    await shop.hostRuns(`
      create table public.docs (id uuid, tenant_id uuid, name text, price numeric, tags text[], data jsonb, at timestamptz, n int);
      create index docs_plain on public.docs (tenant_id, id, n, at, name);
      create index docs_price on public.docs (price);
      create index docs_tags on public.docs using gin (tags);
      create index docs_data on public.docs using gin (data);
      create index docs_lower on public.docs (lower(name));
      create index docs_like on public.docs (name text_pattern_ops);
    `);
    const leaky = await readLeakyIndexes(shop.db.admin, [{ schema: 'public', table: 'docs' }]);
    expect(leaky.map(({ index }) => index).sort()).toEqual([
      'docs_data',
      'docs_like',
      'docs_lower',
      'docs_price',
      'docs_tags',
    ]);
    const find = (index: string) => leaky.find((candidate) => candidate.index === index);
    expect(find('docs_data')?.operators).toContain('@>');
    expect(find('docs_tags')?.operators).toContain('&&');
    expect(find('docs_like')?.operators).toEqual(['~~']);
    expect(find('docs_lower')).toMatchObject({ operators: [], functions: ['lower(text)'], scans: 0 });
    expect(await readLeakyIndexes(shop.db.admin, [{ schema: 'public', table: 'invoices' }])).toEqual([]);
  });
});
