import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { withTenant } from '../../../src/context/index.ts';
import { createKernel, type Kernel } from '../../../src/database/kernel.ts';
import { createUsage, type UsageOptions, type Usage } from '../../../src/metering/usage/index.ts';
import { createPool, type TenantPool } from '../../../src/pool/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

export interface UsageFixture {
  readonly db: TestDatabase;
  readonly pool: TenantPool;
  readonly kernel: Kernel;
  readonly usage: Usage;
}

/** A database, the pool of the application's unprivileged login, and usage over it. */
export function usageFixture(options: UsageOptions = {}): UsageFixture {
  const fixture = {} as { db: TestDatabase; pool: TenantPool; kernel: Kernel; usage: Usage };
  beforeAll(async () => {
    fixture.db = await createTestDatabase();
    fixture.pool = createPool({ connectionString: fixture.db.appUrl, max: 6 });
    fixture.kernel = createKernel(fixture.pool);
    fixture.usage = createUsage(fixture.kernel, options);
  });
  afterAll(async () => {
    await fixture.usage.close();
    await fixture.pool.end();
    await fixture.db.drop();
  });
  return fixture;
}

export interface UsageTenant {
  readonly tenantId: string;
  as<T>(fn: () => T | PromiseLike<T>): Promise<T>;
  /** An administrator, who may do everything. */
  readonly userId: string;
  asAdmin<T>(fn: () => T | PromiseLike<T>): Promise<T>;
  namespace(name: string): Promise<string>;
}

export async function newTenant(f: UsageFixture, settings: object = {}): Promise<UsageTenant> {
  const slug = `u-${randomUUID()}`;
  const [user] = await f.db.query<{ id: string }>(`select tenantry.ensure_user($1) as id`, [`${slug}@example.com`]);
  const [row] = await f.db.query<{ id: string }>(
    `insert into tenantry.organizations (name, slug, settings, created_by) values ('Acme', $1, $2, $3) returning id`,
    [slug, settings, user!.id],
  );
  const tenantId = row!.id;
  const userId = user!.id;
  return {
    tenantId,
    userId,
    as: (fn) => withTenant({ tenantId }, fn),
    asAdmin: (fn) => withTenant({ tenantId, userId }, fn),
    async namespace(name) {
      const [made] = await f.db.query<{ id: string }>(
        `insert into tenantry.namespaces (tenant_id, name) values ($1, $2) returning id`,
        [tenantId, name],
      );
      return made!.id;
    },
  };
}

export interface Counter extends Record<string, unknown> {
  scope: string;
  metric: string;
  period: string;
  start: string;
  end: string;
  value: number;
  events: number;
}

export const nil = '00000000-0000-0000-0000-000000000000';

/** The counters of an organization as the database holds them. */
export function counters(f: UsageFixture, tenantId: string, metric: string): Promise<Counter[]> {
  return f.db.query<Counter>(
    `select namespace_id as scope, metric, period, to_char(period_start at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') as start,
       to_char(period_end at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI"Z"') as end, value::float8 as value, events::int as events
     from tenantry.usage_periods where tenant_id = $1 and metric = $2 order by namespace_id, period, period_start`,
    [tenantId, metric],
  );
}

export async function counter(
  f: UsageFixture,
  tenantId: string,
  metric: string,
  period = 'month',
  scope = nil,
): Promise<number> {
  const rows = (await counters(f, tenantId, metric)).filter((row) => row.period === period && row.scope === scope);
  return rows.at(-1)?.value ?? 0;
}

export const differences = (f: UsageFixture, tenantId: string) =>
  f.db.query(`select * from tenantry.usage_differences($1)`, [tenantId]);

/** A limit of the organization's own. */
export const setLimit = (f: UsageFixture, tenantId: string, metric: string, quantity: number, period = 'month') =>
  f.db.query(
    `insert into tenantry.limits (tenant_id, principal_id, metric, period, quantity, hard) values ($1, $1, $2, $3, $4, false)
     on conflict (tenant_id, principal_id, metric, period) do update set quantity = excluded.quantity`,
    [tenantId, metric, period, quantity],
  );
