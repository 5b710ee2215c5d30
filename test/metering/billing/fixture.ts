import { afterAll, beforeAll } from 'vitest';
import { withTenant, withUser } from '../../../src/context/index.ts';
import type { TenantId, UserId } from '../../../src/context/types.ts';
import { createOperatorPool, createPool, type OperatorPool, type TenantPool } from '../../../src/pool/index.ts';
import { createTenantry, type Tenantry } from '../../../src/tenantry.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

export interface BillingFixture {
  readonly db: TestDatabase;
  readonly t: Tenantry;
  readonly pool: TenantPool;
  readonly operator: OperatorPool;
}

/** A database, Tenantry over the application's unprivileged login, and the operator's connection. */
export function billingFixture(): BillingFixture {
  const fixture = {} as { db: TestDatabase; t: Tenantry; pool: TenantPool; operator: OperatorPool };
  beforeAll(async () => {
    fixture.db = await createTestDatabase();
    fixture.pool = createPool({ connectionString: fixture.db.appUrl, max: 8 });
    fixture.operator = createOperatorPool(fixture.db.operatorUrl, { max: 4 })!;
    fixture.t = createTenantry({ pool: fixture.pool, operator: fixture.operator });
  });
  afterAll(async () => {
    await fixture.t.close();
    await fixture.pool.end();
    await fixture.operator.end();
    await fixture.db.drop();
  });
  return fixture;
}

let serial = 0;
export interface Customer {
  readonly tenantId: TenantId;
  readonly adminId: UserId;
  /** As the organization's administrator. */
  as<T>(fn: () => T | PromiseLike<T>): Promise<T>;
  /** As a member with no permission for bills. */
  asMember<T>(fn: () => T | PromiseLike<T>): Promise<T>;
}

export async function newCustomer({ t }: BillingFixture): Promise<Customer> {
  const user = (name: string): Promise<UserId> => t.users.ensure({ email: `${name}@example.com` });
  const name = `billing-${process.pid}-${(serial += 1)}`;
  const { withSystem } = await import('../../../src/context/index.ts');
  const adminId = await withSystem('test', () => user(name));
  const memberId = await withSystem('test', () => user(`${name}-member`));
  const { id: tenantId } = await withUser({ userId: adminId }, () => t.organizations.create({ name, slug: name }));
  const as: Customer['as'] = (fn) => withTenant({ tenantId, userId: adminId }, fn);
  await as(() => t.members.create({ userId: memberId }));
  return { tenantId, adminId, as, asMember: (fn) => withTenant({ tenantId, userId: memberId }, fn) };
}
