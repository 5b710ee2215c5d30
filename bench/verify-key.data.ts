import { createHash } from 'node:crypto';
import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import type { Tenantry } from '../src/tenantry.ts';

export async function connect(url: string): Promise<pg.Client> {
  const admin = new pg.Client({ connectionString: url });
  admin.on('error', () => {});
  await admin.connect();
  return admin;
}

/** One organization; a namespace's worth of keys are made by the service, the way every key is. */
export async function createKeys(url: string, t: Tenantry, count: number): Promise<string[]> {
  const admin = await connect(url);
  await admin.query('set role tenantry_owner');
  const { rows } = await admin.query<{ tenantId: string; userId: string }>(
    `with u as (insert into tenantry.users (email) values ('bench-' || gen_random_uuid() || '@example.com') returning id),
       o as (insert into tenantry.organizations (name, slug, created_by) select 'Bench', 'bench-' || gen_random_uuid(), id from u returning id)
     select o.id as "tenantId", u.id as "userId" from o, u`,
  );
  await admin.end();
  const [owner] = rows as [{ tenantId: string; userId: string }];
  return withTenant(owner, async () => {
    const keys: string[] = [];
    for (let i = 0; i < count; i += 1) {
      const { key } = await t.keys.create({ name: `key ${i}`, permissions: ['read', 'write'] });
      keys.push(key);
    }
    return keys;
  });
}

/**
 * As many keys of other organizations as make `total`, in bulk and as the triggers would have it.
 *
 * @param url a superuser's: what a bulk load need not keep true row by row is left out
 */
export async function fillKeys(url: string, total: number): Promise<void> {
  const admin = await connect(url);
  await admin.query('set session_replication_role = replica');
  // functions that look at each row: what is filled in here is right, and no row is written afterwards
  await admin.query(
    'alter table tenantry.api_keys drop constraint if exists api_keys_permissions_check, drop constraint if exists api_keys_limits_check',
  );
  const { rows } = await admin.query<{ n: number }>('select count(*)::int as n from tenantry.api_key_lookups');
  const missing = total - (rows[0]?.n ?? 0);
  if (missing > 0) {
    await admin.query(
      `create temp table plan as select i, tenantry.uuidv7() as key, tenantry.uuidv7() as secret, tenantry.uuidv7() as tenant,
           substr(md5(random()::text || i), 1, 12) as lookup from generate_series(1, $1::int) i`,
      [missing],
    );
    // ten keys in each organization
    await admin.query(
      'update plan p set tenant = f.tenant from plan f where f.i = p.i - (p.i - 1) % 10 and p.i <> f.i',
    );
    await admin.query(
      `insert into tenantry.organizations (id, key, name, slug)
         select p.tenant, p.tenant, 'Filler', 'filler-' || p.tenant from plan p where p.i % 10 = 1`,
    );
    await admin.query(`insert into tenantry.api_keys (tenant_id, id, name) select tenant, key, 'key' from plan`);
    await admin.query(
      `insert into tenantry.api_key_secrets (tenant_id, id, key_id, lookup, hint, hash, hash_version)
         select tenant, secret, key, lookup, 'sk_live_' || lookup, sha256(convert_to(lookup, 'UTF8')), 1 from plan`,
    );
    // a plan that believes the tables are small would take minutes
    await admin.query('analyze plan, tenantry.organizations, tenantry.api_keys, tenantry.api_key_secrets');
    await admin.query(
      `insert into tenantry.api_key_lookups (lookup, tenant_id, secret_id, answer)
         select a.lookup, a.tenant_id, a.secret_id, a.answer from tenantry.api_key_answers a join plan p on p.secret = a.secret_id`,
    );
    await admin.query('drop table plan');
    await admin.query(
      'vacuum (analyze) tenantry.organizations, tenantry.api_keys, tenantry.api_key_secrets, tenantry.api_key_lookups',
    );
  }
  await admin.end();
}

/** The floor: a table of nothing but hashes, and what a bare look-up returns. */
export async function fillFloor(url: string, keys: readonly string[]): Promise<Buffer[]> {
  const admin = await connect(url);
  await admin.query(
    'create table bare_keys (hash bytea primary key, tenant_id uuid not null, key_id uuid not null, permissions text[] not null, expires_at timestamptz)',
  );
  const hashes = keys.map((key) => createHash('sha256').update(key).digest());
  await admin.query(
    `insert into bare_keys select h, gen_random_uuid(), gen_random_uuid(), '{read,write}'::text[] from unnest($1::bytea[]) h`,
    [hashes],
  );
  await admin.query('grant select on bare_keys to tenantry_app');
  await admin.query('vacuum (analyze) bare_keys');
  await admin.end();
  return hashes;
}
