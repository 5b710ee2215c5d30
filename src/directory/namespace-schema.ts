import { z } from 'zod';
import { pageFields } from './page.ts';
import { idSchema } from './schema.ts';

const name = z.string().trim().min(1).max(255);
const at = z.date();

export const environments = ['development', 'staging', 'production'] as const;
export const environmentSchema = z.enum(environments);
export type Environment = z.infer<typeof environmentSchema>;

export const metricSchema = z
  .string()
  .regex(/^[a-z][a-z0-9_.-]{0,62}$/, 'is a metric: a–z, 0–9, _ . - and at most 63 characters');
const quantity = z.number().nonnegative().max(1e15).nullable();

/**
 * Metric → how much per period; null is unlimited, an absent metric inherits from the plan. The period is the plan's (a
 * month without one), or what the name ends in: `api_calls_per_day`. As an object it also says whether more is refused
 * (`hard`, the default where the plan says nothing) or counted as overage.
 */
export const namespaceLimitsSchema = z.record(
  metricSchema,
  z.union([quantity, z.strictObject({ limit: quantity, hard: z.boolean().optional() })]),
);
export type NamespaceLimits = z.infer<typeof namespaceLimitsSchema>;

export const namespaceCreate = z.strictObject({
  name,
  environment: environmentSchema.default('development'),
  active: z.boolean().default(true),
  limits: namespaceLimitsSchema.default({}),
});
export const namespaceUpdate = z
  .strictObject({ name, environment: environmentSchema, active: z.boolean(), limits: namespaceLimitsSchema })
  .partial();
export const namespaceSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  name: z.string(),
  environment: environmentSchema,
  active: z.boolean(),
  /** Seen by those alone whom its ACL names, and by holders of namespaces.write. */
  restricted: z.boolean(),
  limits: namespaceLimitsSchema,
  createdAt: at,
  updatedAt: at,
});
export type NamespaceCreate = z.input<typeof namespaceCreate>;
export type NamespaceUpdate = z.input<typeof namespaceUpdate>;
export type Namespace = z.infer<typeof namespaceSchema>;

export const namespaceSettings = z.strictObject({
  defaultNamespaceId: z.guid().nullable(),
  /** Which namespaces can be used: every one, or those listed. */
  allowedNamespaceIds: z.union([z.literal('all'), z.array(z.guid())]),
});
export type NamespaceSettings = z.infer<typeof namespaceSettings>;
export const namespaceSettingsUpdate = z
  .strictObject({
    defaultNamespaceId: idSchema.nullable(),
    allowedNamespaceIds: z.union([z.literal('all'), z.array(idSchema).max(1000)]),
  })
  .partial();
export type NamespaceSettingsUpdate = z.input<typeof namespaceSettingsUpdate>;

export const listNamespacesSchema = z.strictObject({
  ...pageFields,
  environment: environmentSchema.optional(),
  active: z.boolean().optional(),
});
export type NamespaceListOptions = z.input<typeof listNamespacesSchema>;

/** Principal → what it may do. */
export const aclSchema = z.record(
  idSchema,
  z.strictObject({ read: z.boolean().default(true), write: z.boolean().default(false) }),
);
export type AclInput = z.input<typeof aclSchema>;
export type Acl = z.output<typeof aclSchema>;

const externalId = z.string().min(1).max(255);
const metadata = z.record(z.string(), z.unknown());
/** The context's namespace, else the organization's default one. */
const namespaceId = idSchema.optional();

export const endUserEnsure = z.strictObject({
  externalId,
  namespaceId,
  name: name.nullable().optional(),
  metadata: metadata.optional(),
});
export const endUserUpdate = z.strictObject({ name: name.nullable(), metadata }).partial();
export const endUserSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  namespaceId: z.guid(),
  externalId: z.string(),
  name: z.string().nullable(),
  metadata,
  createdAt: at,
  updatedAt: at,
});
export const endUserList = z.strictObject({ ...pageFields, namespaceId });
export const endUserLookup = z.strictObject({ externalId, namespaceId });
export type EndUserEnsure = z.input<typeof endUserEnsure>;
export type EndUserUpdate = z.input<typeof endUserUpdate>;
export type EndUserListOptions = z.input<typeof endUserList>;
export type EndUserLookup = z.input<typeof endUserLookup>;
export type EndUser = z.infer<typeof endUserSchema>;

export const userTypes = ['DEVELOPER', 'TEAM_MEMBER', 'END_USER'] as const;
export type UserType = (typeof userTypes)[number];

/** Who somebody is in an organization: its developer, of its team, or its customer. */
export interface Account {
  readonly id: string;
  readonly userType: UserType;
  /** Of developers and team members. */
  readonly organizationId: string | null;
  /** Of end users: the organization whose customer they are. */
  readonly developerOrganizationId: string | null;
  readonly namespaceId: string | null;
  readonly externalId: string | null;
}
