import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TableFacts } from '../../src/isolation/index.ts';
import { shadowOfPolicies } from '../../src/isolation/saved-policies.ts';
import { catalogOf } from './catalog.ts';
import { createShop, inContext, type Shop } from './shop.ts';

let shop: Shop;
beforeAll(async () => {
  shop = await createShop(`
    create schema sales;
    create table sales.customers (id int primary key, tenant_id uuid);
    create table sales."Odd ""Orders""" (id serial primary key, "Tenant Id" uuid, customer_id int references sales.customers (id) on delete cascade);
    insert into sales.customers values (1, :acme), (2, :bolt);
    create table public.own_rules (id int primary key, tenant_id uuid, hidden boolean not null default false);
    insert into public.own_rules values (1, :acme, false), (2, :acme, true), (3, :bolt, false);
    alter table public.own_rules enable row level security;
    create policy visible on public.own_rules using (not hidden);
    grant select on public.own_rules to public;
  `);
});
afterAll(async () => {
  await shop.drop();
});

const statusOf = async (table: string) => (await shop.isolation.status()).find((status) => status.table === table);

describe('tables as hosts have them', () => {
  it('a schema that the new owner could not use, names that need quotes, a foreign key that cascades', async () => {
    const orders = 'sales.Odd "Orders"';
    await shop.hostRuns('grant usage on sequence sales."Odd ""Orders""_id_seq" to tenantry_operator');
    const before = await catalogOf(shop.db, 'sales');
    await shop.isolation.shadow('sales.customers');
    await shop.isolation.shadow(orders, { column: 'Tenant Id' });
    // references are checked as the owner of the tables, who needs the schema for it
    await shop.hostRuns(`insert into sales."Odd ""Orders""" ("Tenant Id", customer_id) values (:acme, 1), (:bolt, 2)`);
    await expect(shop.hostRuns('insert into sales."Odd ""Orders""" (customer_id) values (404)')).rejects.toMatchObject({
      code: '23503',
    });
    await shop.isolation.enforce('sales.customers');
    await shop.isolation.enforce(orders);
    const count = 'select count(*)::int as n from sales."Odd ""Orders"""';
    expect(await shop.as(shop.acme, count)).toEqual([{ n: 1 }]);
    await shop.as(shop.acme, 'delete from sales.customers');
    expect([await shop.as(shop.acme, count), await shop.as(shop.bolt, count)]).toEqual([[{ n: 0 }], [{ n: 1 }]]);
    expect((await statusOf(orders))?.drift).toEqual([]);
    // the one that brought about the right to use the schema goes first: the other still needs it
    await shop.isolation.off('sales.customers', { restoreOwner: true });
    await shop.hostRuns('insert into sales.customers values (3, :acme)');
    await shop.as(
      shop.acme,
      `insert into sales."Odd ""Orders""" ("Tenant Id", customer_id) values ('${shop.acme}', 3)`,
    );
    await shop.isolation.off(orders, { restoreOwner: true });
    expect(await catalogOf(shop.db, 'sales')).toEqual(before);
  });

  it('policies of its own that were in force stay in force, beside ours and after them', async () => {
    const before = await catalogOf(shop.db);
    const seen = async (tenant: string) =>
      (await shop.as(tenant, 'select array_agg(id order by id) as ids from public.own_rules'))[0]?.['ids'];
    const old = async (tenant: string | undefined) =>
      (await inContext(shop.old, tenant, ['select array_agg(id order by id) as ids from public.own_rules']))[0]?.[
        'ids'
      ];
    expect([await old(undefined), await seen(shop.acme)]).toEqual([
      [1, 2, 3],
      [1, 3],
    ]);
    await shop.isolation.shadow('own_rules');
    // shadow changes no answer: the former owner was not bound by its own policies, everybody else was
    expect([await old(undefined), await seen(shop.acme)]).toEqual([
      [1, 2, 3],
      [1, 3],
    ]);
    await shop.isolation.enforce('own_rules');
    expect([await seen(shop.acme), await seen(shop.bolt), await old(shop.acme)]).toEqual([[1], [3], [1, 2]]);
    await shop.isolation.off('own_rules');
    // a policy without a check judges what is written by its condition
    const insert = (id: number) =>
      shop.isolation.explain({
        table: 'own_rules',
        key: { id },
        context: { tenantId: shop.acme },
        operation: 'insert',
        login: shop.host,
      });
    expect([
      (await insert(1)).verdict,
      (await insert(2)).findings.find(({ policy }) => policy === 'visible')?.passes,
    ]).toEqual(['allowed', false]);
    const off = await shop.isolation.explain({ table: 'own_rules', key: { id: 3 }, context: { tenantId: shop.acme } });
    expect(off.sentences.join(' ')).not.toContain('tenantry doctor');
    expect([await seen(shop.acme), await statusOf('public.own_rules')]).toMatchObject([
      [1, 3],
      { mode: 'off', drift: [] },
    ]);
    await shop.isolation.enforce('own_rules');
    await shop.isolation.off('own_rules', { restoreOwner: true });
    expect(await catalogOf(shop.db)).toEqual(before);
  });

  it('a table whose row in table_modes was lost is taken up again as it is', async () => {
    await shop.hostRuns(
      'create table public.lost (id int, tenant_id uuid); insert into public.lost values (1, :acme), (2, :bolt)',
    );
    await shop.isolation.enforce('lost');
    await shop.db.query("delete from tenantry.table_modes where table_name = 'lost'");
    await shop.isolation.enforce('lost');
    expect(await shop.as(shop.acme, 'select id from public.lost')).toEqual([{ id: 1 }]);
  });

  it('gives a table back to an owner who may no longer create in its schema, with grants that were lost meanwhile', async () => {
    await shop.hostRuns(`
      create table public.back (id int, tenant_id uuid) partition by range (id);
      create table public.back_1 partition of public.back for values from (0) to (10);
      grant select on public.back to tenantry_operator with grant option;
      grant insert on public.back to public`);
    const before = await catalogOf(shop.db);
    await shop.isolation.enforce('back');
    await shop.db.query(`revoke create on schema public from ${shop.host}`);
    await shop.db.query('revoke all on public.back from public, tenantry_operator');
    await shop.db.query('create table public.back_2 partition of public.back for values from (10) to (20)');
    await shop.db.query('alter table public.back_2 owner to tenantry_admin');
    await shop.isolation.off('back', { restoreOwner: true });
    await shop.db.query(`grant create on schema public to ${shop.host}`);
    const [newer] = await shop.db.query(
      "select pg_get_userbyid(relowner) as owner from pg_class where relname = 'back_2'",
    );
    expect(newer).toEqual({ owner: shop.host });
    await shop.hostRuns('drop table public.back_2');
    expect(await catalogOf(shop.db)).toEqual(before);
  });

  it('a table with FORCE and a policy for one role of its own; a sequence that is newer than Tenantry; a table that was the new owner’s already', async () => {
    await shop.hostRuns(`
      create table public.forced (id int, tenant_id uuid);
      alter table public.forced enable row level security, force row level security;
      create policy staff on public.forced to tenantry_operator using (true)`);
    await shop.db.query(
      'grant create on schema public to tenantry_owner; create table public.theirs (id int, tenant_id uuid); alter table public.theirs owner to tenantry_owner; revoke create on schema public from tenantry_owner',
    );
    const before = await catalogOf(shop.db);
    for (const table of ['forced', 'theirs']) await shop.isolation.enforce(table);
    for (const table of ['forced', 'theirs']) await shop.isolation.off(table, { restoreOwner: true });
    expect(await catalogOf(shop.db)).toEqual(before);
    await shop.isolation.shadow('own_rules');
    await shop.db.query('alter table public.own_rules add column n serial');
    await shop.isolation.off('own_rules', { restoreOwner: true });
    await shop.hostRuns('alter table public.own_rules drop column n');
  });

  it('a key that does not fit the column’s numbers is a miss in shadow, and never an error', async () => {
    for (const type of ['smallint', 'integer', 'bigint', 'numeric', 'text']) {
      await shop.hostRuns(
        `create table public.key_${type} (id int, account ${type}); insert into public.key_${type} values (1, '7')`,
      );
      await shop.isolation.shadow(`key_${type}`, { column: 'account' });
      for (const [key, misses] of [
        ['7', ''],
        ['9', '1'],
        ['99999999999999999999', '1'],
        ['-1', '1'],
        ['x', '1'],
        [shop.acme, '1'],
      ] as const) {
        const rows = await inContext(
          shop.app,
          shop.acme,
          [`select id from public.key_${type}`, "select coalesce(current_setting('app.miss_r', true), '') as misses"],
          { 'app.tenant_key': key },
        );
        expect(rows, `${type} ${key}`).toEqual([{ misses }]);
      }
      await shop.isolation.enforce(`key_${type}`);
      expect(
        await inContext(shop.app, shop.acme, [`select id from public.key_${type}`], { 'app.tenant_key': '7' }),
      ).toEqual([{ id: 1 }]);
      expect(
        await inContext(shop.app, shop.acme, [`select id from public.key_${type}`], { 'app.tenant_key': '9' }),
      ).toEqual([]);
    }
  });

  it('a rehearsal that was switched off still stands in the way; one that ended in enforcement does not', async () => {
    await shop.hostRuns('create table public.gated (id int, tenant_id uuid)');
    const miss = () =>
      shop.db.query(
        `select tenantry.record_shadow_misses('[{"table_schema":"public","table_name":"gated","operation":"update","fingerprint":"f","rows":1,"occurrences":1,"status":"confirmed"}]')`,
      );
    await shop.isolation.shadow('gated');
    await miss();
    await shop.isolation.off('gated');
    await expect(shop.isolation.enforce('gated')).rejects.toMatchObject({ code: 'TNT_SHADOW_NOT_CLEAN' });
    await shop.isolation.enforce('gated', { force: true });
    await shop.isolation.off('gated');
    expect((await shop.isolation.enforce('gated')).to).toBe('enforced');
  });

  it('status names row-level security that is on where it should be off, and an owner whom no policy binds', async () => {
    await shop.db.query(`alter table public.gated owner to ${shop.host}`);
    expect((await statusOf('public.gated'))?.drift).toEqual([`owned by ${shop.host}, whom no policy binds`]);
    await shop.isolation.off('gated');
    await shop.hostRuns('alter table public.gated enable row level security');
    expect((await statusOf('public.gated'))?.drift).toEqual(['row-level security is enabled']);
    await shop.isolation.off('gated', { restoreOwner: true });
    await shop.isolation.off('gated', { restoreOwner: true }); // nothing left to give back
    expect(await statusOf('public.gated')).toMatchObject({ owner: shop.host, drift: [] });
  });
});

describe('explain on such tables', () => {
  it('a table that is not protected, one that somebody switched on, and strict binding in shadow', async () => {
    await shop.hostRuns(
      'create table public.free (id int primary key, tenant_id uuid); insert into public.free values (1, :acme); grant select on public.free to tenantry_app',
    );
    const explain = (context = {}) => shop.isolation.explain({ table: 'free', key: { id: 1 }, context });
    expect(await explain()).toMatchObject({ verdict: 'allowed', mode: 'unknown' });
    await shop.isolation.shadow('free');
    await shop.isolation.strictBinding(true);
    expect(await shop.isolation.strictBinding()).toBe(true);
    expect(await explain()).toMatchObject({ verdict: 'counted' });
    await shop.isolation.strictBinding(false);
    await shop.isolation.off('free');
    await shop.db.query('alter table public.free enable row level security');
    expect((await explain({ tenantId: shop.acme })).sentences.join(' ')).toContain(
      'But row-level security is enabled: run tenantry doctor.',
    );
  });

  it('a host’s own key, FORCE, a superuser, BYPASSRLS', async () => {
    const explain = (table: string, context: object, login?: string) =>
      shop.isolation.explain({ table, key: { id: 1 }, context, ...(login === undefined ? {} : { login }) });
    expect(await explain('key_bigint', { tenantKey: '7' })).toMatchObject({ verdict: 'allowed' });
    expect((await explain('key_bigint', { tenantKey: '9' })).sentences).toContain(
      'The row belongs to tenant 7, the context is tenant 9.',
    );
    expect((await explain('key_text', {})).sentences).toContain(
      'The row belongs to tenant 7, and the context names none.',
    );
    expect((await explain('key_text', { tenantId: 'x' })).verdict).toBe('hidden');
    await shop.isolation.off('key_smallint', { restoreOwner: true });
    await shop.isolation.enforce('key_smallint', { keepOwner: true });
    expect(await explain('key_smallint', { tenantKey: '9' })).toMatchObject({
      verdict: 'absent',
      sentences: ['There is no such row.', expect.stringContaining('which FORCE binds too')],
    });
    expect(await explain('key_smallint', { tenantKey: '7' }, shop.host)).toMatchObject({ verdict: 'allowed' });
    expect((await explain('key_bigint', { tenantKey: '9' }, 'postgres')).sentences.join()).toContain('is a superuser');
    const bypass = `bypass_${shop.host}`;
    const root = new Client({ connectionString: shop.db.superuserUrl });
    await root.connect();
    await root.query(`create role ${bypass} bypassrls; grant select on public.key_bigint to ${bypass}`);
    expect((await explain('key_bigint', { tenantKey: '9' }, bypass)).sentences.join()).toContain('has BYPASSRLS');
    await root.query(`drop owned by ${bypass}; drop role ${bypass}`);
    await root.end();
  });

  it('an owner rule without a permission, and resources, whose policies differ by command', async () => {
    await shop.hostRuns(
      `create table public.mine (id int primary key, tenant_id uuid, user_id uuid); insert into public.mine values (1, :acme, :bolt)`,
    );
    await shop.isolation.enforce('mine', { owner: { column: 'user_id' } });
    const { sentences } = await shop.isolation.explain({
      table: 'mine',
      key: { id: 1 },
      context: { tenantId: shop.acme, userId: shop.acme },
    });
    expect(sentences).toContain(`The row is user ${shop.bolt}’s.`);
    const [user] = await shop.db.query<{ id: string }>(
      `insert into tenantry.users (email) values ('x@${shop.host}.test') returning id`,
    );
    await shop.db.query("insert into tenantry.org_members (tenant_id, user_id, role) values ($1, $2, 'admin')", [
      shop.acme,
      user?.id,
    ]);
    const [workspace] = await shop.db.query<{ id: string }>(
      "insert into tenantry.workspaces (tenant_id, kind, name, user_id) values ($1, 'personal', 'Mine', $2) returning id",
      [shop.acme, user?.id],
    );
    const [resource = { id: '' }] = await shop.db.query<{ id: string }>(
      "insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, visibility, name) values ($1, $2, 'prompt', $3, 'private', 'P') returning id",
      [shop.acme, workspace?.id, user?.id],
    );
    const of = (userId: string, operation: 'select' | 'update' | 'delete' | 'insert') =>
      shop.isolation.explain({
        table: 'tenantry.resources',
        key: { id: resource.id },
        context: { tenantId: shop.acme, userId },
        operation,
      });
    for (const operation of ['select', 'update', 'delete', 'insert'] as const) {
      expect(await of(user?.id ?? '', operation), operation).toMatchObject({ verdict: 'allowed' });
      expect((await of(shop.bolt, operation)).verdict, operation).toBe(operation === 'insert' ? 'refused' : 'hidden');
    }
  });
});

describe('shadow of policies written elsewhere', () => {
  it('ORs the permissive, ANDs the restrictive, allows nothing without a permissive one, and never asks a strict function', () => {
    const policy = (name: string, more: Partial<TableFacts['policies'][number]>) => ({
      name,
      permissive: true,
      command: 'all' as const,
      roles: ['public'],
      using: null,
      check: null,
      ...more,
    });
    const shadow = shadowOfPolicies(
      [
        policy('a', { using: 'a = tenantry.current_tenant()' }),
        policy('b', { command: 'select', using: 'b = tenantry.current_tenant_key()' }),
        policy('c', { permissive: false, using: 'c', check: 'd' }),
      ],
      { schema: 's', table: 't' },
    );
    const select = shadow.find(({ name }) => name === 'tenantry_shadow_select')?.using;
    expect(select).toContain(
      'when (c) and ((a = (select tenantry.context_tenant())) or (b = (select tenantry.context_tenant_key()))) then true',
    );
    expect(shadow.find(({ name }) => name === 'tenantry_shadow_insert')?.check).toContain(
      'when (d) and ((a = (select tenantry.context_tenant()))) then true',
    );
    expect(JSON.stringify(shadow)).not.toContain('current_tenant');
    expect(
      JSON.stringify(shadowOfPolicies([policy('only', { command: 'select' })], { schema: 's', table: 't' })),
    ).toContain('when false then true');
  });
});
