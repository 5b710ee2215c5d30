import { Client } from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createShop, inContext, items, type Shop } from './shop.ts';

let shop: Shop;
const count = 'select count(*)::int as n from public.items';

beforeAll(async () => {
  shop = await createShop(`${items}
    create table public.parents (id int primary key, tenant_id uuid not null, unique (tenant_id, id));
    insert into public.parents values (1, :acme), (2, :bolt);
    create table public.children (id int primary key, tenant_id uuid not null, parent_id int references public.parents (id));
    create table public.strict_children (id int primary key, tenant_id uuid not null, parent_id int,
      foreign key (tenant_id, parent_id) references public.parents (tenant_id, id));
    create table public.handles (tenant_id uuid not null, handle text not null unique);
    create table public.tenant_handles (tenant_id uuid not null, handle text not null, unique (tenant_id, handle));
    insert into public.handles values (:bolt, 'boss');
    insert into public.tenant_handles values (:bolt, 'boss');
    create view public.items_of_host as select * from public.items;
    create function public.count_as_host() returns bigint language sql security definer set search_path = pg_catalog, pg_temp
      as 'select count(*) from public.items';
    grant select on public.items_of_host to tenantry_app;
  `);
  for (const table of ['items', 'parents', 'children', 'strict_children', 'handles', 'tenant_handles']) {
    await shop.isolation.enforce(table);
  }
});
afterAll(async () => {
  await shop.drop();
});

const asAcme = (...statements: string[]) => shop.as(shop.acme, ...statements);

/** Makes something as the owner role for one test, and takes it away again. */
async function withObject(create: string, drop: string, fn: () => Promise<void>): Promise<void> {
  await shop.db.query(create);
  try {
    await fn();
  } finally {
    await shop.db.query(drop);
  }
}

describe('C7 the policy binds every role but the owner', () => {
  it("an application's own policy `to public using (true)` does not widen the floor", async () => {
    await withObject(
      'create policy open on public.items to public using (true) with check (true)',
      'drop policy open on public.items',
      async () => {
        expect(await asAcme(count)).toEqual([{ n: 10 }]);
        await expect(asAcme(`insert into public.items values (50, '${shop.bolt}', 'x')`)).rejects.toMatchObject({
          code: '42501',
        });
      },
    );
  });

  it('a role that nobody listed gets no rows without a context, and its own with one', async () => {
    const visitor = `visitor_${shop.host}`;
    await withObject(
      `create role ${visitor} login password 'v'; grant select on public.items to ${visitor}`,
      `revoke select on public.items from ${visitor}; drop role ${visitor}`,
      async () => {
        const url = new URL(shop.hostUrl);
        url.username = visitor;
        url.password = 'v';
        const client = new Client({ connectionString: url.toString() });
        await client.connect();
        expect(await inContext(client, undefined, [count])).toEqual([{ n: 0 }]);
        expect(await inContext(client, shop.acme, [count])).toEqual([{ n: 10 }]);
        await client.end();
      },
    );
  });

  it('a view and a SECURITY DEFINER function of the former owner are bound as their owner is', async () => {
    expect(await asAcme('select count(*)::int as n from public.items_of_host')).toEqual([{ n: 10 }]);
    expect(await asAcme('select public.count_as_host()::int as n')).toEqual([{ n: 10 }]);
    expect(await inContext(shop.old, shop.acme, [count])).toEqual([{ n: 10 }]);
  });

  it('a view or definer function of the table’s owner is not bound (doctor finds it); security_invoker binds the view', async () => {
    await withObject(
      `create view public.items_of_owner as select * from public.items;
       grant create on schema public to tenantry_owner;
       alter view public.items_of_owner owner to tenantry_owner;
       grant select on public.items_of_owner to tenantry_app`,
      'revoke create on schema public from tenantry_owner; drop view public.items_of_owner',
      async () => {
        const through = 'select count(*)::int as n from public.items_of_owner';
        expect(await asAcme(through)).toEqual([{ n: 30 }]);
        await shop.db.query('alter view public.items_of_owner set (security_invoker = true)');
        expect(await asAcme(through)).toEqual([{ n: 10 }]);
      },
    );
  });

  it('the runtime login cannot become another role, or change policies, triggers or inheritance', async () => {
    for (const attack of [
      'set role tenantry_owner',
      `set role ${shop.host}`,
      'alter table public.items disable row level security',
      'drop policy tenantry_floor on public.items',
      'alter policy tenantry_floor on public.items using (true)',
      'create table public.heir () inherits (public.items)',
      "update tenantry.table_modes set mode = 'off'",
      'select * from tenantry.table_modes',
      'select * from tenantry.shadow_misses',
      'delete from tenantry.shadow_misses',
    ]) {
      await expect(asAcme(attack), attack).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('row_security = off is an error and not a way around', async () => {
    await expect(asAcme('set local row_security = off', count)).rejects.toMatchObject({ code: '42501' });
  });
});

describe('context functions cannot be taken over', () => {
  it('a search_path with its own current_setting and operators does not reach into them', async () => {
    await withObject(
      `create schema evil;
       create function evil.current_setting(text, boolean) returns text language sql as $$ select '${shop.bolt}' $$;
       create function evil.length(text) returns int language sql as $$ select 1 $$;
       create function evil.never(int, int) returns boolean language sql as $$ select false $$;
       create operator evil.= (leftarg = int, rightarg = int, function = evil.never);
       create function evil.hijacked() returns uuid language sql stable as $$ select current_setting('app.tenant_id', true)::uuid $$;
       grant usage on schema evil to public`,
      'drop schema evil cascade',
      async () => {
        const path = 'set local search_path = evil, public, pg_catalog';
        expect(await asAcme(path, count)).toEqual([{ n: 10 }]);
        expect(await asAcme(path, 'select tenantry.current_tenant() as t')).toEqual([{ t: shop.acme }]);
        // the attack is real: a function whose names are not qualified answers the attacker's tenant
        await shop.db.query('grant execute on all functions in schema evil to public');
        expect(await asAcme(path, 'select evil.hijacked() as t')).toEqual([{ t: shop.bolt }]);
      },
    );
  });

  it('a context that is no UUID is an error, never all rows', async () => {
    await expect(shop.as(undefined, "set local app.tenant_id = 'all'", count)).rejects.toMatchObject({ code: '22P02' });
    await expect(shop.as(undefined, `set local app.tenant_id = '''; select'`, count)).rejects.toMatchObject({
      code: '22P02',
    });
  });

  it('strict binding makes a missing context an error, and off again no rows', async () => {
    expect(await shop.isolation.strictBinding(true)).toBe(true);
    await expect(shop.as(undefined, count)).rejects.toMatchObject({
      code: '42501',
      message: expect.stringContaining('TNT_CONTEXT_MISSING'),
    });
    expect(await asAcme(count)).toEqual([{ n: 10 }]);
    expect(await shop.isolation.strictBinding(false)).toBe(false);
    expect(await shop.as(undefined, count)).toEqual([{ n: 0 }]);
  });
});

describe('conditions of the caller run after the policy', () => {
  it('a cast error, a division by zero and a cheap function that tells what it sees meet own rows alone', async () => {
    await withObject(
      `create function public.tell(text) returns boolean language plpgsql cost 0.0001 as $$ begin raise notice '%', $1; return true; end $$;
       grant execute on function public.tell(text) to public`,
      'drop function public.tell(text)',
      async () => {
        const told: string[] = [];
        const listen = ({ message }: { message?: string | undefined }): void => void told.push(message ?? '');
        shop.app.on('notice', listen);
        await asAcme('select * from public.items where public.tell(t)');
        shop.app.off('notice', listen);
        expect(told).toHaveLength(10);
        expect(told).not.toContain('t15');
      },
    );
    // rows 11 to 30 would divide by zero
    expect(
      await asAcme('select count(*)::int as n from public.items where 1 / (case when id > 10 then 0 else 1 end) = 1'),
    ).toEqual([{ n: 10 }]);
    await expect(
      asAcme("create function pg_temp.leak(text) returns boolean language sql leakproof as 'select true'"),
    ).rejects.toMatchObject({ code: '42501' });
  });

  it('statistics of a protected table are empty for the runtime', async () => {
    await shop.db.query('analyze public.items');
    expect(await asAcme("select * from pg_stats where tablename = 'items'")).toEqual([]);
  });

  it('a plan prepared for one tenant serves the next one its own rows', async () => {
    await shop.app.query('prepare mine as select count(*)::int as n from public.items');
    for (let i = 0; i < 7; i += 1) expect(await asAcme('execute mine')).toEqual([{ n: 10 }]);
    expect(await shop.as(shop.bolt, 'execute mine')).toEqual([{ n: 20 }]);
    await shop.app.query('deallocate mine');
  });
});

describe('keys and references', () => {
  it('a unique that is global tells of foreign rows; one that starts with the tenant does not', async () => {
    await expect(asAcme(`insert into public.handles values ('${shop.acme}', 'boss')`)).rejects.toMatchObject({
      code: '23505',
    });
    await asAcme(`insert into public.tenant_handles values ('${shop.acme}', 'boss')`);
    // the upsert answers as well: refused, because the row in the way is another tenant's
    await expect(
      asAcme(
        `insert into public.handles values ('${shop.acme}', 'boss') on conflict (handle) do update set handle = excluded.handle`,
      ),
    ).rejects.toMatchObject({ code: '42501' });
  });

  it('a foreign key by id accepts a foreign row; one that carries the tenant refuses it', async () => {
    await asAcme(`insert into public.children values (1, '${shop.acme}', 2)`);
    await expect(asAcme(`insert into public.strict_children values (1, '${shop.acme}', 2)`)).rejects.toMatchObject({
      code: '23503',
    });
    await asAcme(`insert into public.strict_children values (2, '${shop.acme}', 1)`);
  });

  it('TRUNCATE is refused, because the runtime is not granted it; with the grant nothing would filter it', async () => {
    await expect(asAcme('truncate public.tenant_handles')).rejects.toMatchObject({ code: '42501' });
    await expect(inContext(shop.old, shop.acme, ['truncate public.tenant_handles'])).rejects.toMatchObject({
      code: '42501',
    });
    await withObject(
      'grant truncate on public.tenant_handles to tenantry_app',
      'revoke truncate on public.tenant_handles from tenantry_app',
      async () => {
        await shop.app.query('begin');
        await shop.app.query('truncate public.tenant_handles');
        await shop.app.query('rollback');
      },
    );
  });

  it('COPY TO is filtered and COPY FROM refused', async () => {
    await shop.app.query('begin');
    await shop.app.query("select set_config('app.tenant_id', $1, true)", [shop.acme]);
    const chunks: Buffer[] = [];
    for await (const chunk of shop.app.query(copyTo('copy public.items to stdout'))) chunks.push(chunk as Buffer);
    await shop.app.query('commit');
    const lines = Buffer.concat(chunks).toString().trim().split('\n');
    expect(lines).toHaveLength(10);
    expect(lines.every((line) => line.includes(shop.acme))).toBe(true);
    await expect(asAcme('copy public.items from stdin')).rejects.toMatchObject({ code: '0A000' });
  });
});

describe('what a plain setting does not protect from: injected SQL (docs/guides/isolation.md says so)', () => {
  it('a materialized CTE forges the tenant within one statement', async () => {
    const forged = await asAcme(`
      with forged as materialized (select set_config('app.tenant_id', '${shop.bolt}', true) as s)
      select count(i.id)::int as n from forged f, lateral (select id from public.items where f.s is not null offset 0) i`);
    expect(forged).toEqual([{ n: 20 }]);
  });

  it('query_to_xml runs a new statement under a forged tenant', async () => {
    const [row] = await asAcme(`
      select set_config('app.tenant_id', '${shop.bolt}', true) as s,
        query_to_xml('select count(*) as n from public.items', false, false, '')::text as x`);
    expect(row?.['x']).toContain('<n>20</n>');
  });

  it('a role set by the context is no boundary for a powerful login, which is why the login itself must be plain', async () => {
    const powerful = new Client({ connectionString: shop.db.superuserUrl });
    await powerful.connect();
    await powerful.query("begin; select set_config('role', 'tenantry_app', true)");
    await powerful.query("select set_config('app.tenant_id', $1, true)", [shop.acme]);
    expect((await powerful.query(count)).rows).toEqual([{ n: 10 }]);
    const { rows } = await powerful.query<{ x: string }>(
      `select set_config('role', 'tenantry_owner', true), query_to_xml('${count}', false, false, '')::text as x`,
    );
    expect(rows[0]?.x).toContain('<n>30</n>');
    await powerful.query('rollback');
    await powerful.end();
    await expect(asAcme("select set_config('role', 'tenantry_owner', true)")).rejects.toMatchObject({ code: '42501' });
  });
});
