import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createShop, inContext, items, type Shop } from './shop.ts';

let shop: Shop;
let u1 = '';
let u2 = '';

beforeAll(async () => {
  shop = await createShop(`${items}
    create table public.orders (id int primary key, tenant_id uuid, item_id int references public.items (id), total numeric, tags text[]);
    insert into public.orders select i, (select tenant_id from public.items where id = i), i, i * 1.5, array['x' || i] from generate_series(1, 30) i;
    create index on public.orders using gin (tags);
  `);
  const users = await shop.db.query<{ id: string }>(
    `insert into tenantry.users (email) values ('a@${shop.host}.test'), ('b@${shop.host}.test') returning id`,
  );
  [u1 = '', u2 = ''] = users.map(({ id }) => id);
  for (const [tenant, user] of [
    [shop.acme, u1],
    [shop.bolt, u2],
  ]) {
    await shop.db.query("insert into tenantry.org_members (tenant_id, user_id, role) values ($1, $2, 'admin')", [
      tenant,
      user,
    ]);
  }
});
afterAll(async () => {
  await shop.drop();
});

const queries = [
  'select * from public.items order by id',
  'select count(*) from public.items',
  "select i.t, o.total from public.items i join public.orders o on o.item_id = i.id where i.t like 't1%' order by i.id",
  'select tenant_id, sum(total) from public.orders group by tenant_id order by tenant_id',
  "select id from public.orders where tags @> array['x15']",
  'select * from public.items where id = 15',
  'select exists (select from public.orders where id = 29)',
  'select id, row_number() over (order by id) from public.items where tenant_id is not null order by id desc limit 7',
  'with top as (select * from public.orders order by total desc limit 3) select * from top order by id',
  "insert into public.items values (100, null, 'n') returning *",
  "update public.items set t = t || '!' where id in (5, 25) returning id, t",
  'delete from public.orders where id > 28 returning id',
  "insert into public.items values (5, null, 'z') on conflict (id) do update set t = excluded.t returning *",
  'select * from public.items order by id for update',
];

/** Each statement in its own transaction, rolled back: rows, order and number affected. */
async function answers(client: Client, settings: Readonly<Record<string, string>>): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const query of queries) {
    await client.query('begin');
    try {
      for (const [name, value] of Object.entries(settings)) {
        await client.query('select set_config($1, $2, true)', [name, value]);
      }
      const { rows, rowCount } = await client.query(query);
      all.push({ query, rows, rowCount });
    } finally {
      await client.query('rollback');
    }
  }
  return all;
}

describe('D4 in shadow every query answers the same with and without session variables', () => {
  it('host tables: reads, writes, joins and aggregates, for the runtime and for the former owner', async () => {
    const truth = await answers(shop.old, {});
    for (const table of ['items', 'orders']) await shop.isolation.shadow(table);
    for (const client of [shop.old, shop.app]) {
      expect(await answers(client, {})).toEqual(truth);
      expect(await answers(client, { 'app.tenant_id': shop.acme })).toEqual(truth);
      expect(await answers(client, { 'app.tenant_id': shop.bolt, 'app.user_id': u2 })).toEqual(truth);
    }
    for (const table of ['items', 'orders']) await shop.isolation.enforce(table);
    expect(await answers(shop.app, { 'app.tenant_id': shop.acme }).catch((error: unknown) => error)).not.toEqual(truth);
  });

  it('tenantry.resources: off, shadow, enforced, off — with the policies of its migration put back as they were', async () => {
    const policies = () =>
      shop.db.query(
        `select polname, polcmd, polpermissive, pg_get_expr(polqual, polrelid) as using, pg_get_expr(polwithcheck, polrelid) as check from pg_policy where polrelid = 'tenantry.resources'::regclass order by 1`,
      );
    const original = await policies();
    for (const [tenant, user, name] of [
      [shop.acme, u1, 'Plan A'],
      [shop.bolt, u2, 'Plan B'],
    ]) {
      const [workspace] = await shop.db.query<{ id: string }>(
        `insert into tenantry.workspaces (tenant_id, kind, name, user_id) values ($1, 'personal', 'Mine', $2) returning id`,
        [tenant, user],
      );
      await shop.db.query(
        `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, visibility, name) values ($1, $2, 'prompt', $3, 'private', $4)`,
        [tenant, workspace?.id, user, name],
      );
    }
    const names = async (settings: Record<string, string>) =>
      (
        await inContext(
          shop.app,
          undefined,
          ["select coalesce(string_agg(name, ',' order by name), '') as names from tenantry.resources"],
          settings,
        )
      )[0]?.['names'];
    const seen = async () => ({
      none: await names({}),
      acme: await names({ 'app.tenant_id': shop.acme, 'app.user_id': u1 }),
      bolt: await names({ 'app.tenant_id': shop.bolt, 'app.user_id': u2 }),
    });
    const everything = { none: 'Plan A,Plan B', acme: 'Plan A,Plan B', bolt: 'Plan A,Plan B' };
    const enforced = { none: '', acme: 'Plan A', bolt: 'Plan B' };
    expect(await seen()).toEqual(enforced);
    await shop.isolation.off('tenantry.resources');
    expect(await seen()).toEqual(everything);
    await shop.isolation.shadow('tenantry.resources');
    expect(await seen()).toEqual(everything);
    const [counted] = await inContext(
      shop.app,
      shop.acme,
      ['select name from tenantry.resources', "select current_setting('app.miss_r', true) as misses"],
      { 'app.user_id': u1 },
    );
    expect(counted).toEqual({ misses: '1' });
    const update = `update tenantry.resources set name = 'Renamed' where name = 'Plan B' returning name`;
    await shop.app.query('begin');
    await shop.app.query("select set_config('app.tenant_id', $1, true), set_config('app.user_id', $2, true)", [
      shop.acme,
      u1,
    ]);
    expect((await shop.app.query(update)).rows).toEqual([{ name: 'Renamed' }]);
    await shop.app.query('rollback');
    await shop.isolation.enforce('tenantry.resources');
    expect(await seen()).toEqual(enforced);
    expect(await policies()).toEqual(original);
    await shop.isolation.shadow('tenantry.resources');
    await shop.isolation.off('tenantry.resources');
    expect(await policies()).toEqual(original);
    // asked for with --all: it has no owner before ours, and must not lose its policies
    await shop.isolation.off('tenantry.resources', { restoreOwner: true });
    expect(await policies()).toEqual(original);
    await shop.isolation.enforce('tenantry.resources');
    expect(await seen()).toEqual(enforced);
    // a later migration changes a policy: the next rehearsal ends with that one
    await shop.db.query('alter policy tenantry_resource_delete on tenantry.resources using (false)');
    const changed = await policies();
    await shop.isolation.shadow('tenantry.resources');
    await shop.isolation.enforce('tenantry.resources');
    expect(await policies()).toEqual(changed);
    expect((await shop.isolation.status()).find(({ table }) => table === 'tenantry.resources')).toMatchObject({
      mode: 'enforced',
      drift: [],
    });
  });
});
