import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  createOperatorPool,
  createPool,
  createTenantry,
  type OperatorPool,
  seedTestUser,
  type TenantPool,
  type Tenantry,
  withTenant,
} from '../src/index.ts';
import { createTestDatabase, type TestDatabase } from './support/database.ts';

describe('createTenantry', () => {
  let db: TestDatabase;
  let pool: TenantPool;
  let operator: OperatorPool;
  let t: Tenantry;
  beforeAll(async () => {
    db = await createTestDatabase();
    pool = createPool({ connectionString: db.appUrl, max: 2 });
    operator = createOperatorPool(db.operatorUrl, { max: 2 })!;
    t = createTenantry({ pool, operator, adminPool: db.admin });
    await seedTestUser(t.kernel, { email: 'ann@example.com' });
    await seedTestUser(t.kernel, { email: 'bob@example.com' });
  });
  afterAll(async () => {
    await Promise.all([pool.end(), operator.end()]);
    await db.drop();
  });

  it('B13, D7: crosses tenants on the operator’s connection alone, and writes down who and why before', async () => {
    const count = 'select count(*)::int as n from tenantry.organizations';
    const seen = await t.withoutTenant(
      'monthly report',
      async (database) => {
        const inside = (await pool.query<{ n: number }>(count)).rows[0]?.n;
        return { operator: (await database.query<{ n: number }>(count)).rows[0]?.n, inside };
      },
      { month: '2026-11' },
    );
    expect(seen).toEqual({ operator: 2, inside: 0 });
    const log = await db.query('select reason, details from tenantry.operator_log');
    expect(log).toEqual([{ reason: 'monthly report', details: { month: '2026-11' } }]);
  });

  it('does not cross without an operator, without a reason, or when the entry cannot be written', async () => {
    const without = createTenantry({ pool });
    await expect(without.withoutTenant('report', () => 1)).rejects.toMatchObject({ code: 'TNT_OPERATOR_UNAVAILABLE' });
    await expect(t.withoutTenant(' ', () => 1)).rejects.toMatchObject({ code: 'TNT_CONTEXT_INVALID' });
    await db.query('alter table tenantry.operator_log rename to hidden_log');
    let ran = false;
    await expect(
      t.withoutTenant('report', () => {
        ran = true;
      }),
    ).rejects.toThrow();
    expect(ran).toBe(false);
    await db.query('alter table tenantry.hidden_log rename to operator_log');
  });

  it('gives isolation over the migrating login only', async () => {
    expect((await t.isolation.status()).some(({ table }) => table === 'tenantry.resources')).toBe(true);
    expect(() => createTenantry({ pool }).isolation).toThrow(expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }));
  });

  it('close() waits for what is being counted, and counts nothing after it', async () => {
    const own = createTenantry({ pool });
    const [owner] = await db.query<{ tenantId: string; userId: string }>(
      'select tenant_id as "tenantId", user_id as "userId" from tenantry.org_members limit 1',
    );
    const record = (id: string): Promise<unknown> =>
      withTenant(owner!, () => own.usage.record({ metric: 'api_calls', id }));
    const outcomes: unknown[] = [];
    for (const id of ['one', 'two']) void record(id).then((outcome) => outcomes.push(outcome));
    await own.close();
    expect(outcomes).toEqual(['counted', 'counted']);
    await expect(record('three')).rejects.toMatchObject({ code: 'TNT_USAGE_CLOSED' });
  });
});
