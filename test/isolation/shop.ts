import { randomBytes } from 'node:crypto';
import { Client, Pool } from 'pg';
import { ident } from '../../src/database/sql.ts';
import { createIsolation, type Isolation } from '../../src/isolation/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** Two tenants, and a host login that owned its tables before Tenantry came. */
export interface Shop {
  readonly db: TestDatabase;
  readonly isolation: Isolation;
  readonly acme: string;
  readonly bolt: string;
  /** The login that owned the tables of the application. */
  readonly host: string;
  readonly hostUrl: string;
  /** A session of the application's runtime login. */
  readonly app: Client;
  /** A session of the former owner. */
  readonly old: Client;
  /** Runs statements on the runtime login in one transaction with a context, and returns the rows of the last one. */
  as(tenant: string | undefined, ...statements: string[]): Promise<Record<string, unknown>[]>;
  /** Creates tables as the host login would have. */
  hostRuns(sql: string): Promise<void>;
  drop(): Promise<void>;
}

export async function createShop(sql = ''): Promise<Shop> {
  const db = await createTestDatabase();
  const suffix = randomBytes(4).toString('hex');
  const host = `shop_${suffix}`;
  await db.query(`create role ${host} login password '${suffix}'`);
  await db.query(`grant ${host} to tenantry_admin`);
  await db.query(`grant create on schema public to ${host}; grant create on database ${db.name} to ${host}`);
  const [organizations] = [
    await db.query<{ id: string }>(
      `insert into tenantry.organizations (name, slug) values ('Acme', 'acme-${suffix}'), ('Bolt', 'bolt-${suffix}') returning id`,
    ),
  ];
  const [acme = { id: '' }, bolt = { id: '' }] = organizations;
  const hostUrl = new URL(db.adminUrl);
  hostUrl.username = host;
  hostUrl.password = suffix;
  const old = new Client({ connectionString: hostUrl.toString() });
  const app = new Client({ connectionString: db.appUrl });
  await Promise.all([old.connect(), app.connect()]);
  if (sql !== '') await old.query(sql.replaceAll(':acme', `'${acme.id}'`).replaceAll(':bolt', `'${bolt.id}'`));
  return {
    db,
    isolation: createIsolation({ admin: db.admin }),
    acme: acme.id,
    bolt: bolt.id,
    host,
    hostUrl: hostUrl.toString(),
    app,
    old,
    as: (tenant, ...statements) => inContext(app, tenant, statements),
    hostRuns: async (text) => {
      await old.query(text.replaceAll(':acme', `'${acme.id}'`).replaceAll(':bolt', `'${bolt.id}'`));
    },
    async drop() {
      await Promise.all([old.end(), app.end()]);
      await db.query(`reassign owned by ${ident(host)} to tenantry_admin`);
      await db.query(`drop owned by ${ident(host)}`);
      await db.query(`drop role ${ident(host)}`);
      await db.drop();
    },
  };
}

/** One transaction with a transaction-local context, committed; rolled back on an error, which is thrown on. */
export async function inContext(
  client: Client,
  tenant: string | undefined,
  statements: readonly string[],
  settings: Readonly<Record<string, string>> = {},
): Promise<Record<string, unknown>[]> {
  await client.query('begin');
  try {
    if (tenant !== undefined) await client.query("select set_config('app.tenant_id', $1, true)", [tenant]);
    for (const [name, value] of Object.entries(settings)) {
      await client.query('select set_config($1, $2, true)', [name, value]);
    }
    let rows: Record<string, unknown>[] = [];
    for (const statement of statements) ({ rows } = await client.query<Record<string, unknown>>(statement));
    await client.query('commit');
    return rows;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/** A pool whose connections are a plain login's, without Tenantry. */
export function plainPool(url: string, max = 4): Pool {
  const pool = new Pool({ connectionString: url, max });
  pool.on('error', () => {});
  return pool;
}

/** 30 rows: 1 to 10 are Acme's, 11 to 30 Bolt's. `t` is `t1` … `t30`. */
export const items = `
  create table public.items (id int primary key, tenant_id uuid, t text);
  insert into public.items select i, case when i <= 10 then :acme::uuid else :bolt::uuid end, 't' || i from generate_series(1, 30) i;
  create index items_tenant on public.items (tenant_id, id);
`;
