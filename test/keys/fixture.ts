import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll } from 'vitest';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createTenantry, type Tenantry } from '../../src/tenantry.ts';
import type { KeysOptions } from '../../src/keys/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import type { TenantId, UserId } from '../../src/context/types.ts';

export const pepper = randomBytes(48).toString('base64');

export interface KeysFixture {
  readonly db: TestDatabase;
  readonly pool: TenantPool;
  readonly t: Tenantry;
  /** Another process' view of the same database: its own cache and listening connection. */
  another(options?: KeysOptions): Tenantry;
}

/** A database, the pool of the application's unprivileged login, and Tenantry over it. */
export function keysFixture(options: KeysOptions = {}): KeysFixture {
  const fixture = {} as { db: TestDatabase; pool: TenantPool; t: Tenantry; another: KeysFixture['another'] };
  const opened: Tenantry[] = [];
  const open = (more: KeysOptions): Tenantry => {
    const t = createTenantry({ pool: fixture.pool, keys: { peppers: pepper, ...more } });
    opened.push(t);
    return t;
  };
  fixture.another = (more = {}) => open({ ...options, ...more });
  beforeAll(async () => {
    fixture.db = await createTestDatabase();
    fixture.pool = createPool({ connectionString: fixture.db.appUrl, max: 10 });
    fixture.pool.on('error', () => {}); // tests end backends on purpose
    fixture.t = open(options);
  });
  afterAll(async () => {
    for (const t of opened) await t.close();
    await fixture.pool?.end();
    await fixture.db?.drop();
  });
  return fixture;
}

let serial = 0;
/** Unique in the run. */
export const unique = (prefix: string): string => `${prefix}-${process.pid}-${(serial += 1)}`;

export interface Customer {
  readonly tenantId: TenantId;
  readonly adminId: UserId;
  readonly namespaceId: string;
  asAdmin<T>(fn: () => T | PromiseLike<T>): Promise<T>;
  /** A new user who is a member without the administrator's role. */
  member(): Promise<UserId>;
}

/** An organization with an administrator and a production namespace. */
export async function newCustomer({ t }: Pick<KeysFixture, 't'>): Promise<Customer> {
  const user = (): Promise<UserId> => withSystem('test', () => t.users.ensure({ email: `${unique('u')}@example.com` }));
  const adminId = await user();
  const { id: tenantId } = await withUser({ userId: adminId }, () =>
    t.organizations.create({ name: 'Acme', slug: unique('acme') }),
  );
  const asAdmin = <T>(fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId, userId: adminId }, fn);
  const namespace = await asAdmin(() => t.namespaces.create({ name: 'live', environment: 'production' }));
  return {
    tenantId,
    adminId,
    namespaceId: namespace.id,
    asAdmin,
    async member() {
      const userId = await user();
      await asAdmin(() => t.members.create({ userId }));
      return userId;
    },
  };
}

/** The code and, where there is one, the reason of an error. */
export async function refusalOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: { code?: string; details?: { reason?: string } | null }) => thrown,
  );
  if (error === undefined) return 'accepted';
  const { code = 'another error', details } = error;
  return details?.reason === undefined ? code : `${code} ${details.reason}`;
}

/** Looks again until it holds; its own failure after ten seconds. */
export async function eventually(check: () => Promise<boolean> | boolean): Promise<void> {
  const until = Date.now() + 10_000;
  while (!(await check())) {
    if (Date.now() > until) throw new Error('it did not come about in ten seconds');
    await new Promise((done) => setTimeout(done, 20));
  }
}
