import type pg from 'pg';

/** Of a thousand equal parts of the resources, which are granted to the caller's four teams. */
const densities = { '1 %': [0, 10], '10 %': [10, 110], '90 %': [100, 1000] } as const;
export type Density = keyof typeof densities;

export interface Caller {
  readonly density: Density;
  readonly userId: string;
}

export interface Tenant {
  readonly id: string;
  readonly size: number;
  readonly callers: Caller[];
}

/** One organization with `size` resources, 100 owners, and a caller for each density who sees them through four teams. */
export async function createTenant(admin: pg.Client, size: number): Promise<Tenant> {
  const one = async (text: string, values: unknown[] = []): Promise<string> =>
    ((await admin.query<{ id: string }>(text, values)).rows[0] as { id: string }).id;
  const id = await one(
    `insert into tenantry.organizations (name, slug) values ('Bench', 'bench-' || $1::text) returning id`,
    [size],
  );
  const workspace = await one('select id from tenantry.workspaces where tenant_id = $1', [id]);
  await admin.query(
    `with u as (insert into tenantry.users (email) select 'owner' || i || '.' || $2::text || '@example.com' from generate_series(1, 100) i returning id)
     insert into tenantry.org_members (tenant_id, user_id) select $1, id from u`,
    [id, size],
  );
  const callers: Caller[] = [];
  const parts: { team: string; from: number; to: number; part: number }[] = [];
  for (const [density, [from, to]] of Object.entries(densities)) {
    const userId = await one(
      `insert into tenantry.users (email) values ($1 || '.' || $2::text || '@example.com') returning id`,
      [density.replace(' %', ''), size],
    );
    await admin.query('insert into tenantry.org_members (tenant_id, user_id) values ($1, $2)', [id, userId]);
    for (let part = 0; part < 4; part++) {
      const team = await one(`insert into tenantry.teams (tenant_id, name, slug) values ($1, 'T', $2) returning id`, [
        id,
        `t-${from}-${part}`,
      ]);
      await admin.query('insert into tenantry.team_members (tenant_id, team_id, user_id) values ($1, $2, $3)', [
        id,
        team,
        userId,
      ]);
      parts.push({ team, from, to, part });
    }
    callers.push({ density: density as Density, userId });
  }
  // What the triggers would do row by row, in bulk; compared with their rule below.
  await admin.query('set role tenantry_owner');
  await admin.query(
    'create temp table parts as select * from jsonb_to_recordset($1::jsonb) p(team uuid, "from" int, "to" int, part int)',
    [JSON.stringify(parts)],
  );
  const indexes = (
    await admin.query<{ name: string; definition: string }>(
      `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
       where indrelid in ('tenantry.resources'::regclass, 'tenantry.resource_visible'::regclass) and not indisprimary`,
    )
  ).rows;
  const keys = (
    await admin.query<{ table: string; name: string; definition: string }>(
      `select conrelid::regclass::text as "table", conname as name, pg_get_constraintdef(oid) as definition from pg_constraint
       where contype = 'f' and conrelid in ('tenantry.resources'::regclass, 'tenantry.resource_acl'::regclass)`,
    )
  ).rows;
  for (const { table, name } of keys) await admin.query(`alter table ${table} drop constraint ${name}`);
  for (const { name } of indexes) await admin.query(`drop index ${name}`);
  await admin.query('alter table tenantry.resources disable trigger user');
  await admin.query('alter table tenantry.resource_acl disable trigger user');
  await admin.query(
    `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, name, data, updated_at, created_at, readers, writers, admins)
     select $1, $2, (array['prompt','collection','model','integration','tag'])[1 + (i * 31) % 5], o.ids[1 + i % 100],
       'resource ' || md5(i::text), jsonb_build_object('n', i), t.at, t.at - interval '1 day',
       array[o.ids[1 + i % 100]] || coalesce(g.teams, '{}'), array[o.ids[1 + i % 100]], array[o.ids[1 + i % 100]]
     from generate_series(1, $3::int) i
     cross join (select array_agg(m.user_id order by m.user_id) ids from tenantry.org_members m join tenantry.users u on u.id = m.user_id and u.email like 'owner%' where m.tenant_id = $1) o
     cross join lateral (select timestamptz '2026-01-01' + ((i * 7919::bigint) % $3::int) * interval '1 second' as at, (i * 7907::bigint) % 1000 as b) t
     left join lateral (select array_agg(p.team) teams from parts p where t.b >= p."from" and t.b < p."to" and i / 1000 % 4 = p.part) g on true`,
    [id, workspace, size],
  );
  await admin.query(
    `insert into tenantry.resource_acl (tenant_id, resource_id, principal_id) select r.tenant_id, r.id, p from tenantry.resources r, unnest(r.readers[2:]) p where r.tenant_id = $1`,
    [id],
  );
  await admin.query(
    `insert into tenantry.resource_visible (tenant_id, principal_id, updated_at, resource_id, type)
     select r.tenant_id, p, r.updated_at, r.id, r.type from tenantry.resources r, unnest(r.readers) p where r.tenant_id = $1`,
    [id],
  );
  await admin.query('alter table tenantry.resources enable trigger user');
  await admin.query('alter table tenantry.resource_acl enable trigger user');
  for (const { definition } of indexes) await admin.query(definition);
  const ordered = [...keys].sort((a, b) => Number(a.table.endsWith('acl')) - Number(b.table.endsWith('acl')));
  for (const { table, name, definition } of ordered) {
    await admin.query(`alter table ${table} add constraint ${name} ${definition}`);
  }
  await admin.query('drop table parts');
  const { rows: wrong } = await admin.query(
    `select 1 from (select * from tenantry.resources where tenant_id = $1 limit 1000) r
     cross join lateral tenantry.resource_access(r.tenant_id, r.id, r.workspace_id, r.owner_principal_id, r.visibility) a
     where not (a.readers @> r.readers and a.readers <@ r.readers and a.writers = r.writers and a.admins = r.admins)`,
    [id],
  );
  if (wrong.length > 0) throw new Error('the bulk data differs from what the triggers compute');
  await admin.query('reset role');
  await admin.query('vacuum (analyze) tenantry.resources');
  await admin.query('vacuum (analyze) tenantry.resource_visible');
  await admin.query('vacuum (analyze) tenantry.resource_acl');
  await admin.query('analyze tenantry.org_members, tenantry.team_members, tenantry.workspaces, tenantry.principals');
  return { id, size, callers };
}
