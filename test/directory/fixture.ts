import { afterAll, beforeAll } from 'vitest';
import { createAudit } from '../../src/audit/index.ts';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import type { TenantId, UserId } from '../../src/context/types.ts';
import { createKernel, type Kernel } from '../../src/database/kernel.ts';
import {
  createAccess,
  createInvitations,
  createMembers,
  createOrganizations,
  createPrincipals,
  createRoles,
  createTeams,
  createUsers,
  createWorkspaces,
} from '../../src/directory/index.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createCatalog, createGrants, createPrompts, createResources } from '../../src/resources/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const servicesOf = (kernel: Kernel) => ({
  organizations: createOrganizations(kernel),
  users: createUsers(kernel),
  members: createMembers(kernel),
  invitations: createInvitations(kernel),
  teams: createTeams(kernel),
  roles: createRoles(kernel),
  principals: createPrincipals(kernel),
  workspaces: createWorkspaces(kernel),
  access: createAccess(kernel),
  resources: createResources(kernel),
  grants: createGrants(kernel),
  prompts: createPrompts(kernel),
  catalog: createCatalog(kernel),
  audit: createAudit(kernel),
});

export interface DirectoryFixture extends ReturnType<typeof servicesOf> {
  readonly db: TestDatabase;
  readonly pool: TenantPool;
  readonly kernel: Kernel;
}

/** A database, the pool of the application's unprivileged login, and every service over it. */
export function directoryFixture(): DirectoryFixture {
  const fixture = {} as { db: TestDatabase; pool: TenantPool; kernel: Kernel };
  beforeAll(async () => {
    fixture.db = await createTestDatabase();
    fixture.pool = createPool({ connectionString: fixture.db.appUrl, max: 10 });
    fixture.kernel = createKernel(fixture.pool);
    Object.assign(fixture, servicesOf(fixture.kernel));
  });
  afterAll(async () => {
    await fixture.pool.end();
    await fixture.db.drop();
  });
  return fixture as DirectoryFixture;
}

let serial = 0;
/** Unique in the run. */
export const unique = (prefix: string): string => `${prefix}-${process.pid}-${(serial += 1)}`;

export const newUser = (f: DirectoryFixture, email = `${unique('u')}@example.com`): Promise<UserId> =>
  withSystem('test', () => f.users.ensure({ email, name: email.split('@')[0]! }));

export interface TestOrganization {
  readonly tenantId: TenantId;
  readonly adminId: UserId;
  readonly workspaceId: string;
  asAdmin<T>(fn: () => T | PromiseLike<T>): Promise<T>;
  as<T>(userId: string, fn: () => T | PromiseLike<T>): Promise<T>;
  /** A new user who is a member. */
  member(role?: 'admin' | 'member', roleId?: string): Promise<UserId>;
}

/** An organization made by its first administrator through the services. */
export async function newOrganization(f: DirectoryFixture): Promise<TestOrganization> {
  const adminId = await newUser(f);
  const organization = await withUser({ userId: adminId }, () =>
    f.organizations.create({ name: 'Acme', slug: unique('acme') }),
  );
  const tenantId = organization.id;
  const as = <T>(userId: string, fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId, userId }, fn);
  const [workspace] = (await as(adminId, () => f.workspaces.list())).items;
  return {
    tenantId,
    adminId,
    workspaceId: workspace!.id,
    asAdmin: (fn) => as(adminId, fn),
    as,
    async member(role = 'member', roleId) {
      const userId = await newUser(f);
      await as(adminId, () => f.members.create({ userId, role, ...(roleId === undefined ? {} : { roleId }) }));
      return userId;
    },
  };
}
