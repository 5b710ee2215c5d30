import { z } from 'zod';
import type { TenantId, UserId } from '../context/types.ts';
import { pageFields } from './page.ts';

const name = z.string().trim().min(1).max(255);
export const slugSchema = z
  .string()
  .max(63)
  .regex(/^[a-z0-9-]+$/, 'takes lower-case letters, digits and hyphens alone');
const description = z.string().max(10_000).nullable();
/** An id in its 36-character form. */
export const idSchema = z.guid();
const id = idSchema;
const at = z.date();
export const emailSchema = z.email().max(320);
const settings = z.record(z.string(), z.unknown());
const systemRole = z.enum(['admin', 'member']);

/** Whether a text can be an id at all: a look-up by anything else finds nothing. */
export const isId = (value: string): boolean => id.safeParse(value).success;

export const isSlug = (value: string): boolean => slugSchema.safeParse(value).success;

// organizations

export const organizationCreate = z.strictObject({
  name,
  slug: slugSchema,
  description: description.optional(),
  kind: z.enum(['personal', 'standard']).default('standard'),
  settings: settings.default({}),
  dataRegion: z.string().min(1).max(63).nullable().optional(),
});
export const organizationUpdate = z
  .strictObject({
    name,
    slug: slugSchema,
    description,
    settings,
    dataRegion: z.string().min(1).max(63).nullable(),
  })
  .partial();
export const organizationSchema = z.strictObject({
  id: z.guid().transform((value) => value as TenantId),
  number: z.int(),
  key: z.string(),
  name: z.string(),
  slug: z.string(),
  description: z.string().nullable(),
  kind: z.enum(['personal', 'standard']),
  settings,
  dataRegion: z.string().nullable(),
  createdAt: at,
  updatedAt: at,
});
export type OrganizationCreate = z.input<typeof organizationCreate>;
export type OrganizationUpdate = z.input<typeof organizationUpdate>;
export type Organization = z.infer<typeof organizationSchema>;

// users

export const userCreate = z.strictObject({ email: emailSchema, name: name.optional() });
export const userUpdate = z.strictObject({ name: name.nullable() }).partial();
export const userSchema = z.strictObject({
  id: z.guid().transform((value) => value as UserId),
  number: z.int(),
  email: z.string(),
  name: z.string().nullable(),
  createdAt: at,
  updatedAt: at,
});
export type UserCreate = z.input<typeof userCreate>;
export type UserUpdate = z.input<typeof userUpdate>;
export type User = z.infer<typeof userSchema>;

// members

export const memberCreate = z.strictObject({
  userId: id,
  role: systemRole.default('member'),
  roleId: id.nullable().optional(),
  name: name.nullable().optional(),
});
export const memberUpdate = z
  .strictObject({ role: systemRole, roleId: id.nullable(), name: name.nullable(), gmailConnected: z.boolean() })
  .partial();
export const memberSchema = z.strictObject({
  tenantId: z.guid(),
  userId: z.guid(),
  email: z.string(),
  name: z.string().nullable(),
  role: systemRole,
  roleId: z.guid().nullable(),
  gmailConnected: z.boolean(),
  createdAt: at,
  updatedAt: at,
});
export type MemberCreate = z.input<typeof memberCreate>;
export type MemberUpdate = z.input<typeof memberUpdate>;
export type Member = z.infer<typeof memberSchema>;

// invitations

export const invitationCreate = z.strictObject({
  email: emailSchema,
  role: systemRole.default('member'),
  roleId: id.nullable().optional(),
  /** How long it can be accepted. */
  expiresInHours: z
    .number()
    .positive()
    .max(24 * 365)
    .default(24 * 7),
});
export const invitationSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  email: z.string(),
  role: systemRole,
  roleId: z.guid().nullable(),
  invitedBy: z.guid().nullable(),
  status: z.enum(['pending', 'accepted', 'revoked', 'expired']),
  expiresAt: at,
  createdAt: at,
});
export type InvitationCreate = z.input<typeof invitationCreate>;
export type Invitation = z.infer<typeof invitationSchema>;

// teams

export const teamCreate = z.strictObject({ name, slug: slugSchema, description: description.optional() });
export const teamUpdate = z.strictObject({ name, slug: slugSchema, description }).partial();
export const teamSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  name: z.string(),
  slug: z.string(),
  description: z.string().nullable(),
  createdAt: at,
  updatedAt: at,
});
export type TeamCreate = z.input<typeof teamCreate>;
export type TeamUpdate = z.input<typeof teamUpdate>;
export type Team = z.infer<typeof teamSchema>;

// roles

const permission = z
  .string()
  .regex(/^(?:\*|[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)+)$/, 'is * or feature.action')
  .max(100);
const roleName = name.refine((value) => value !== 'admin' && value !== 'member', 'is the name of a system role');
export const roleCreate = z.strictObject({
  name: roleName,
  description: description.optional(),
  permissions: z.array(permission).max(200).default([]),
});
export const roleUpdate = z
  .strictObject({ name: roleName, description, permissions: z.array(permission).max(200) })
  .partial();
export const roleSchema = z.strictObject({
  id: z.guid(),
  name: z.string(),
  description: z.string().nullable(),
  permissions: z.array(z.string()),
  system: z.boolean(),
});
export type RoleCreate = z.input<typeof roleCreate>;
export type RoleUpdate = z.input<typeof roleUpdate>;
export type Role = z.infer<typeof roleSchema>;

// principals and workspaces

export const principalKinds = ['organization', 'team', 'user', 'end_user', 'api_key', 'role'] as const;
export const principalSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  kind: z.enum(principalKinds),
  /** Of its subject: an organization, team or role by name, a user by name or address. */
  name: z.string().nullable(),
  removedAt: at.nullable(),
});
export type Principal = z.infer<typeof principalSchema>;

export const workspaceCreate = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('organization'), name, editorPrincipalId: id.optional() }),
  z.strictObject({ kind: z.literal('team'), name, teamId: id, editorPrincipalId: id.optional() }),
]);
export const workspaceUpdate = z.strictObject({ name, editorPrincipalId: id }).partial();
export const workspaceSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  kind: z.enum(['personal', 'team', 'organization']),
  name: z.string(),
  userId: z.guid().nullable(),
  teamId: z.guid().nullable(),
  editorPrincipalId: z.guid(),
  createdAt: at,
  updatedAt: at,
});
export type WorkspaceCreate = z.input<typeof workspaceCreate>;
export type WorkspaceUpdate = z.input<typeof workspaceUpdate>;
export type Workspace = z.infer<typeof workspaceSchema>;

export const listSchema = z.strictObject(pageFields);
export type ListOptions = z.input<typeof listSchema>;
