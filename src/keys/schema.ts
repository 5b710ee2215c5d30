import { z } from 'zod';
import { environmentSchema } from '../directory/namespace-schema.ts';
import { permissions as kernelPermissions } from '../directory/permissions.ts';
import { pageFields } from '../directory/page.ts';
import { idSchema } from '../directory/schema.ts';
import { parseNetwork } from './addresses.ts';
import { isImportable } from './imported.ts';
import { normalOrigin } from './origins.ts';

const name = z.string().trim().min(1).max(255);
const kind = z.enum(['secret', 'widget']);

const permission = z
  .string()
  .max(100)
  .regex(/^(?:\*|[a-z][a-z0-9_-]*(?:\.[a-z][a-z0-9_-]*)*)$/, 'is *, a word such as read, or feature.action');
const permissions = z.array(permission).max(200);
const allowedOrigins = z
  .array(
    z.string().transform((text, context) => {
      const origin = normalOrigin(text);
      if (origin !== undefined) return origin;
      context.addIssue({ code: 'custom', message: 'is not an origin such as https://shop.example.com' });
      return z.NEVER;
    }),
  )
  .max(100);
const allowedAddresses = z
  .array(z.string().refine((text) => parseNetwork(text) !== undefined, 'is not an address or network (10.0.0.0/8)'))
  .max(100);
const metric = /^[a-z][a-z0-9_.]{0,62}$/;
const quantity = z.number().nonnegative().nullable();
const limits = z.record(
  z.string().regex(metric, 'is not the name of a metric'),
  z.union([quantity, z.strictObject({ limit: quantity, hard: z.boolean().optional() })]),
);
const rateLimit = z.strictObject({
  limit: z.int().min(1).max(1_000_000_000),
  periodMs: z
    .int()
    .min(1)
    .max(31 * 24 * 3_600_000),
  burst: z.int().min(1).max(1_000_000_000).optional(),
});
const expiresAt = z.date();

const settings = {
  name,
  namespaceId: idSchema.nullable().default(null),
  kind: kind.default('secret'),
  /** Of a key without a namespace; one with a namespace has the namespace's. */
  environment: environmentSchema.default('production'),
  permissions: permissions.default(['read']),
  allowedOrigins: allowedOrigins.default([]),
  allowedAddresses: allowedAddresses.default([]),
  limits: limits.default({}),
  rateLimit: rateLimit.nullable().default(null),
  expiresAt: expiresAt.nullable().default(null),
};

const widgetRules = (key: { kind: string; allowedOrigins: string[]; permissions: string[] }): string | undefined => {
  if (key.kind !== 'widget') return undefined;
  if (key.allowedOrigins.length === 0) return 'a widget key needs at least one allowed origin';
  const held: readonly string[] = [...kernelPermissions, '*'];
  return key.permissions.some((one) => held.includes(one))
    ? 'a widget key stands in public pages: it takes read, write, delete and permissions of your own alone'
    : undefined;
};
const checkWidget = (key: Parameters<typeof widgetRules>[0], context: z.RefinementCtx): void => {
  const problem = widgetRules(key);
  if (problem !== undefined) context.addIssue({ code: 'custom', path: ['kind'], message: problem });
};

export const keyCreate = z.strictObject(settings).superRefine(checkWidget);

export const keyImport = z
  .strictObject({
    ...settings,
    /** The whole key, where it is at hand. */
    key: z.string().refine(isImportable, 'takes 8 to 512 visible ASCII characters').optional(),
    /** Its bcrypt hash, where that is all there is. */
    bcryptHash: z
      .string()
      .regex(/^\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}$/, 'is not a bcrypt hash')
      .optional(),
    /** The first characters of a key that came as a hash: it is looked up by them at its first use. */
    lookupPrefix: z
      .string()
      .min(4)
      .max(32)
      .regex(/^[\x21-\x7e]+$/)
      .optional(),
  })
  .superRefine((key, context) => {
    checkWidget(key, context);
    const hashed = key.bcryptHash !== undefined && key.lookupPrefix !== undefined;
    if ((key.key !== undefined) === hashed || (key.bcryptHash !== undefined) !== (key.lookupPrefix !== undefined)) {
      context.addIssue({ code: 'custom', path: ['key'], message: 'is needed, or bcryptHash and lookupPrefix instead' });
    }
  });

export const keyUpdate = z
  .strictObject({
    name,
    permissions,
    allowedOrigins,
    allowedAddresses,
    limits,
    rateLimit: rateLimit.nullable(),
    enabled: z.boolean(),
    expiresAt: expiresAt.nullable(),
  })
  .partial();

const day = 24 * 3_600_000;

export const keyRotate = z.strictObject({
  /** How long the old key goes on beside the new one. 0: not at all. Milliseconds, at most 90 days; default one day. */
  overlapMs: z
    .int()
    .min(0)
    .max(90 * day)
    .default(day),
});

export const keyRevoke = z.strictObject({
  reason: z.string().trim().min(1).max(255).optional(),
  /** How long it can be taken back. 0: not at all. Milliseconds, at most 90 days; default one day. */
  restoreWithinMs: z
    .int()
    .min(0)
    .max(90 * day)
    .default(day),
});

export const keyList = z.strictObject({ ...pageFields, namespaceId: idSchema.optional() });

const keySecretSchema = z.strictObject({
  id: idSchema,
  /** How its key begins: what a person knows it by, and a look-up. */
  hint: z.string(),
  expiresAt: z.date().nullable(),
  createdAt: z.date(),
});

export const apiKeySchema = z.strictObject({
  tenantId: idSchema,
  id: idSchema,
  namespaceId: idSchema.nullable(),
  kind,
  environment: environmentSchema,
  name: z.string(),
  permissions: z.array(z.string()),
  allowedOrigins: z.array(z.string()),
  allowedAddresses: z.array(z.string()),
  limits,
  rateLimit: rateLimit.nullable(),
  status: z.enum(['active', 'disabled', 'expired', 'revoked']),
  enabled: z.boolean(),
  expiresAt: z.date().nullable(),
  revokedAt: z.date().nullable(),
  revokedReason: z.string().nullable(),
  restorableUntil: z.date().nullable(),
  /** To the minute, and up to a minute late. */
  lastUsedAt: z.date().nullable(),
  createdBy: idSchema.nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
  /** What it is known by, newest first: two while it is rotated. */
  secrets: z.array(keySecretSchema),
});

export type KeyCreate = z.input<typeof keyCreate>;
export type KeyImport = z.input<typeof keyImport>;
export type KeyUpdate = z.input<typeof keyUpdate>;
export type KeyRotate = z.input<typeof keyRotate>;
export type KeyRevoke = z.input<typeof keyRevoke>;
export type KeyListOptions = z.input<typeof keyList>;
export type ApiKey = z.infer<typeof apiKeySchema>;
