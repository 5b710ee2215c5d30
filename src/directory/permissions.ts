/** What Tenantry's own policies ask for. An adopter's roles may hold any other `feature.action` as well. */
export const permissions = [
  'organization.read',
  'organization.update',
  'organization.delete',
  'members.read',
  'members.write',
  'teams.read',
  'teams.write',
  'roles.read',
  'roles.write',
  'workspaces.read',
  'workspaces.write',
  'catalog.write',
  'namespaces.write',
  'end_users.read',
  'end_users.write',
  'keys.read',
  'keys.write',
  'limits.write',
  'usage.read',
  'usage.write',
  'billing.read',
  'billing.write',
  'audit.read',
  'webhooks.read',
  'webhooks.write',
  'secrets.read',
  'secrets.write',
  'oauth.write',
] as const;

export type KnownPermission = (typeof permissions)[number];
/** `feature.action`; `*` is what an administrator holds and asks for nothing. */
export type Permission = KnownPermission | `${string}.${string}`;

/** The rows of tenantry.system_roles; a test compares the two. */
export const systemRoles = {
  admin: { id: '00000000-0000-7000-8000-0000000000a1', permissions: ['*'] },
  member: {
    id: '00000000-0000-7000-8000-0000000000b1',
    permissions: ['organization.read', 'members.read', 'teams.read', 'roles.read', 'workspaces.read'],
  },
} as const;
