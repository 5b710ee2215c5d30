import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createPool, type TenantPool, type TenantPoolOptions } from '../../src/pool/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

export const tenantA = randomUUID();
export const tenantB = randomUUID();

/** A protected table by the SQL of the design: restrictive floor to public, one open access policy, not forced. */
export function protectedTable(name: string, columns: string): string {
  return `
    grant create on schema public to tenantry_owner;
    create table ${name} (tenant_id uuid not null default tenantry.current_tenant(), ${columns});
    create index on ${name} (tenant_id);
    alter table ${name} owner to tenantry_owner;
    alter table ${name} enable row level security;
    create policy tenantry_floor on ${name} as restrictive to public
      using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
    create policy tenantry_access on ${name} using (true) with check (true);
    grant select, insert, update, delete on ${name} to tenantry_app;`;
}

export interface PoolFixture {
  readonly database: TestDatabase;
  readonly pool: TenantPool;
  /** A second pool with other options; ended with the file. */
  open(options?: TenantPoolOptions): TenantPool;
}

/** A database with `notes` (ten rows of tenant A, five of tenant B) and a pool of the application's login. */
export function poolFixture(options: TenantPoolOptions = {}): PoolFixture {
  const pools: TenantPool[] = [];
  const state = {} as { database: TestDatabase; pool: TenantPool };
  const open = (more: TenantPoolOptions = {}): TenantPool => {
    const pool = createPool({ connectionString: state.database.appUrl, max: 4, ...more });
    pool.on('error', () => {}); // tests end backends on purpose
    pools.push(pool);
    return pool;
  };
  beforeAll(async () => {
    state.database = await createTestDatabase();
    await state.database.query(protectedTable('notes', 'id int generated always as identity, body text not null'));
    await state.database.query(
      `insert into notes (tenant_id, body) select $1::uuid, 'a' || i from generate_series(1, 10) i
       union all select $2::uuid, 'b' || i from generate_series(1, 5) i`,
      [tenantA, tenantB],
    );
    state.pool = open(options);
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await state.database.drop();
  });
  return {
    get database() {
      return state.database;
    },
    get pool() {
      return state.pool;
    },
    open,
  };
}

export const asA = <T>(fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId: tenantA }, fn);
export const asB = <T>(fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId: tenantB }, fn);

export async function count(queryable: { query(text: string): Promise<pg.QueryResult> }): Promise<number> {
  const { rows } = await queryable.query('select count(*)::int as n from notes');
  return (rows[0] as { n: number }).n;
}

/** What the server holds of the context right now, on this connection and outside of any prefix. */
export const leftOver = "select coalesce(current_setting('app.tenant_id', true), '') as tenant";
