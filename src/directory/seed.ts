import { withSystem, withTenant, withUser } from '../context/context.ts';
import type { TenantId, UserId } from '../context/types.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { createMembers } from './members.ts';
import { createOrganizations } from './organizations.ts';
import { createUsers } from './users.ts';
import { createWorkspaces } from './workspaces.ts';

export interface SeedTestUserOptions {
  readonly email: string;
  readonly name?: string;
  /** Of the personal organization. Defaults to the user's id, which nobody else can have. */
  readonly slug?: string;
}

export interface SeededUser {
  readonly userId: UserId;
  readonly tenantId: TenantId;
  readonly workspaceId: string;
  /** What the user has now; each is asserted to be one. */
  readonly counts: {
    readonly personalOrganizations: number;
    readonly members: number;
    readonly personalWorkspaces: number;
  };
  /** False when everything was there before. */
  readonly created: boolean;
}

/**
 * A user with a personal organization and a personal workspace (requirement D6). Run again: no change.
 *
 * @throws TNT_INPUT_INVALID, TNT_SLUG_TAKEN, TNT_INTERNAL when a count is not one
 * @example
 * ```ts
 * const { tenantId, userId } = await seedTestUser(kernel, { email: 'test@example.com' });
 * ```
 */
export async function seedTestUser(kernel: Kernel, options: SeedTestUserOptions): Promise<SeededUser> {
  const { email, name } = options;
  const organizations = createOrganizations(kernel);
  const userId = await withSystem('seed a test user', () =>
    createUsers(kernel).ensure({ email, ...(name === undefined ? {} : { name }) }),
  );
  const personal = async (): Promise<{ id: TenantId }[]> => {
    const { items } = await organizations.list({ limit: 200 });
    return items.filter((organization) => organization.kind === 'personal');
  };
  return withUser({ userId }, async () => {
    const before = await personal();
    if (before.length === 0) {
      await organizations.create({ name: name ?? 'Personal', slug: options.slug ?? userId, kind: 'personal' });
    }
    const after = await personal();
    const tenantId = after[0]?.id;
    /* v8 ignore next -- create() has just returned it: a fault of ours alone could lead here */
    if (tenantId === undefined) throw new TenantryError('TNT_INTERNAL', 'The personal organization was not stored.');
    return withTenant({ tenantId, userId }, async () => {
      const workspaces = createWorkspaces(kernel);
      const workspace = await workspaces.personal();
      const counts = {
        personalOrganizations: after.length,
        members: (await createMembers(kernel).list()).items.length,
        personalWorkspaces: (await workspaces.list()).items.filter((w) => w.kind === 'personal').length,
      };
      for (const [what, count] of Object.entries(counts)) {
        if (count !== 1) throw new TenantryError('TNT_INTERNAL', `The test user has ${count} ${what}, not one.`);
      }
      return { userId, tenantId, workspaceId: workspace.id, counts, created: before.length === 0 };
    });
  });
}
