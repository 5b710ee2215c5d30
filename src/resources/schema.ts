import { z } from 'zod';
import { pageFields } from '../directory/page.ts';

const id = z.guid();
const name = z.string().trim().min(1).max(255);
const data = z.record(z.string(), z.unknown());

export const resourceTypeName = z
  .string()
  .regex(/^[a-z][a-z0-9_-]*$/, 'is lower case and starts with a letter')
  .max(63);
export const resourceTypeCreate = z.strictObject({
  name: resourceTypeName,
  description: z.string().trim().min(1).max(1000),
});

export const visibilities = ['private', 'workspace', 'team', 'org', 'public'] as const;
export const visibilitySchema = z.enum(visibilities);
export type Visibility = (typeof visibilities)[number];

export const resourceCreate = z.strictObject({
  type: resourceTypeName,
  name,
  workspaceId: id,
  /** The user of the context unless given: one of the caller's teams, or the organization. */
  ownerPrincipalId: id.optional(),
  visibility: visibilitySchema.default('private'),
  data: data.default({}),
});
export const resourceUpdate = z
  .strictObject({ name, data, workspaceId: id, ownerPrincipalId: id, visibility: visibilitySchema })
  .partial();
export const resourceSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  type: resourceTypeName,
  name: z.string(),
  workspaceId: z.guid(),
  ownerPrincipalId: z.guid(),
  visibility: visibilitySchema,
  data,
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type ResourceCreate = z.input<typeof resourceCreate>;
export type ResourceUpdate = z.input<typeof resourceUpdate>;
export type Resource = z.infer<typeof resourceSchema>;

const filterFields = {
  /** One type or several. */
  type: z.union([resourceTypeName, z.array(resourceTypeName).min(1).max(20)]).optional(),
  workspaceId: id.optional(),
  visibility: visibilitySchema.optional(),
  ownerPrincipalId: id.optional(),
  updatedFrom: z.date().optional(),
  updatedBefore: z.date().optional(),
  /** Part of the name, in any case. */
  search: z.string().min(1).max(255).optional(),
};
export const resourceFilter = z.strictObject(filterFields);
export const resourceList = z.strictObject({
  ...filterFields,
  ...pageFields,
  sort: z.enum(['updatedAt', 'name', 'createdAt']).default('updatedAt'),
  /** Newest first, names from A to Z, unless given. */
  order: z.enum(['asc', 'desc']).optional(),
});
export type ResourceFilter = z.input<typeof resourceFilter>;
export type ResourceListOptions = z.input<typeof resourceList>;
export type ResourceListQuery = z.output<typeof resourceList>;

export const accessLevels = ['read', 'write', 'admin'] as const;
export const grantCreate = z.strictObject({
  resourceId: id,
  principalId: id,
  /** read; write = read and change; admin = write and grant. */
  access: z.enum(accessLevels).default('read'),
});
export const grantSchema = z.strictObject({
  tenantId: z.guid(),
  resourceId: z.guid(),
  principalId: z.guid(),
  access: z.enum(accessLevels),
  grantedBy: z.guid().nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export type GrantCreate = z.input<typeof grantCreate>;
export type Grant = z.infer<typeof grantSchema>;

const promptFields = {
  body: z.string().min(1).max(1_000_000),
  variables: z.array(z.string().min(1).max(255)).max(200),
  settings: data,
};
export const promptCreate = z.strictObject({
  name,
  workspaceId: id,
  ownerPrincipalId: id.optional(),
  visibility: visibilitySchema.default('private'),
  body: promptFields.body,
  variables: promptFields.variables.default([]),
  settings: promptFields.settings.default({}),
});
export const promptUpdate = z
  .strictObject({ name, workspaceId: id, ownerPrincipalId: id, visibility: visibilitySchema, ...promptFields })
  .partial();
export const promptSchema = resourceSchema.omit({ data: true, type: true }).extend(promptFields);
export type PromptCreate = z.input<typeof promptCreate>;
export type PromptUpdate = z.input<typeof promptUpdate>;
export type Prompt = z.infer<typeof promptSchema>;

const catalogText = z.string().min(1).max(255);
export const catalogSet = z.strictObject({
  type: catalogText,
  key: catalogText,
  /** The organization, a team or the user: whose level the entry belongs to. */
  principalId: id,
  data: data.default({}),
  /** Takes the entries of wider levels away. */
  hidden: z.boolean().default(false),
});
export const catalogLevels = ['global', 'organization', 'team', 'user'] as const;
export const catalogEntrySchema = z.strictObject({
  type: z.string(),
  key: z.string(),
  data,
  level: z.enum(catalogLevels),
  principalId: z.guid().nullable(),
  updatedAt: z.date(),
});
export type CatalogSet = z.input<typeof catalogSet>;
export type CatalogEntry = z.infer<typeof catalogEntrySchema>;
