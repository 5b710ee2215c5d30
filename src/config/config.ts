import { z } from 'zod';
import { TenantryError } from '../errors.ts';

const url = z.string().refine((value) => /^postgres(ql)?:\/\//.test(value) && URL.canParse(value), {
  error: 'must be a URL of the form postgresql://user:password@host:5432/database',
});

/** What `tenantry.config.ts` may hold. Unknown fields are refused, so that a typo is not silently ignored. */
export const configSchema = z.strictObject({
  /** The application's login: what requests run as. Defaults to `DATABASE_URL`; without it the embedded server is used. */
  databaseUrl: url.optional(),
  /** The login that migrates: CREATEROLE and CREATE on the database. Defaults to `TENANTRY_ADMIN_URL`, then to databaseUrl. */
  adminUrl: url.optional(),
  /** A login of tenantry_operator, for `withoutTenant`. Defaults to `TENANTRY_OPERATOR_URL`; absent: not possible. */
  operatorUrl: url.optional(),
  /** Schema of Tenantry's own tables. Defaults to `tenantry`. */
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,39}$/, { error: 'must be lower-case letters, digits and _ (at most 40)' })
    .default('tenantry'),
  /** The embedded PostgreSQL, used when there is no databaseUrl. */
  embedded: z
    .strictObject({
      /** Folder of the data. Defaults to `.tenantry`. */
      folder: z.string().min(1).default('.tenantry'),
      /** Port on 127.0.0.1. Defaults to a free one. */
      port: z.int().min(1).max(65_535).optional(),
      /** `postgresql.conf` settings. */
      settings: z.record(z.string(), z.string()).default({}),
    })
    .prefault({}),
  /** Connections of the application's pool. Defaults to 10. */
  max: z.int().min(1).max(10_000).default(10),
  /** A query without a context: `error` (fail closed) or, while a database is being adopted, `count`. Defaults to `error`. */
  missingContext: z.enum(['error', 'count']).default('error'),
  /** Raise instead of showing no rows when a connection has no context. Defaults to true unless NODE_ENV is `production`. */
  strictBinding: z.boolean().optional(),
  /** `transaction` when a pooler such as PgBouncer stands between: nothing session-level is used. Defaults to `none`. */
  pooler: z.enum(['none', 'transaction']).default('none'),
  /** Single statements of different tenants share this many pipelined connections. Off when absent. */
  multiplex: z.strictObject({ connections: z.int().min(1).max(1000) }).optional(),
  /** Weaknesses of the runtime login that are known and accepted, by name. */
  acceptWeakness: z.array(z.string()).default([]),
  /** Encryption of secrets. Keys stand in a file or in the environment (`TENANTRY_VAULT_KEYS`), never here. */
  vault: z
    .strictObject({
      /** File of the key ring: lines `id:base64`, the first wraps. Defaults to `TENANTRY_VAULT_KEY_FILE`. */
      keyFile: z.string().min(1).optional(),
      /** Columns of your own tables that hold sealed values: a rotation of data keys encrypts them anew. */
      columns: z
        .array(
          z.strictObject({
            table: z.string().min(1),
            column: z.string().min(1),
            row: z.string().min(1).default('id'),
            tenant: z.string().min(1).default('tenant_id'),
            schema: z.string().min(1).default('public'),
          }),
        )
        .default([]),
    })
    .prefault({}),
  /** The providers of `createTenantry({ oauth })`, for `tenantry vault maintain`. */
  oauth: z
    .strictObject({
      providers: z
        .record(
          z.string(),
          z.strictObject({
            issuer: z.string().min(1),
            clientId: z.string().min(1),
            clientSecret: z.string().optional(),
            scopes: z.array(z.string()).default([]),
            authorizationParameters: z.record(z.string(), z.string()).optional(),
            allowInsecure: z.boolean().optional(),
          }),
        )
        .default({}),
      redirectUris: z.array(z.string().min(1)).min(1),
      /** For each request to a provider. Seconds, defaults to 10. */
      timeoutSeconds: z.number().min(1).max(120).default(10),
      tenantProviders: z
        .strictObject({
          allowPrivateAddresses: z.boolean().default(false),
          allowInsecure: z.boolean().default(false),
        })
        .prefault({}),
    })
    .optional(),
  /** Where `tenantry webhooks …` may send. */
  webhooks: z
    .strictObject({
      /** Private addresses that are allowed: all, or these networks (`10.1.0.0/16`). Defaults to none. */
      allowPrivate: z.union([z.boolean(), z.array(z.string().min(1))]).default(false),
      /** Whether plain http is allowed. Defaults to false. */
      allowHttp: z.boolean().default(false),
      /** Until the whole answer is there. Milliseconds, defaults to 15,000. */
      timeoutMs: z.int().min(100).max(120_000).default(15_000),
      /** An endpoint that fails for this long is disabled. Hours, defaults to 120. */
      disableAfterHours: z.number().min(1).max(10_000).default(120),
    })
    .prefault({}),
  doctor: z
    .strictObject({
      /** Findings that are known: by key, with a reason and a last day (YYYY-MM-DD). */
      ignore: z
        .array(z.strictObject({ key: z.string().min(1), reason: z.string().min(1), until: z.iso.date().optional() }))
        .default([]),
    })
    .prefault({}),
});

export type ConfigInput = z.input<typeof configSchema>;
export type Config = z.output<typeof configSchema>;

/**
 * Types the object of `tenantry.config.ts`; it checks nothing yet.
 *
 * @example
 * ```ts
 * import { defineConfig } from 'tenantry';
 *
 * export default defineConfig({ max: 20, pooler: 'transaction' });
 * ```
 */
export function defineConfig(config: ConfigInput): ConfigInput {
  return config;
}

/** Environment variables and the field each one fills where the file says nothing. */
const environmentFields = {
  databaseUrl: 'DATABASE_URL',
  adminUrl: 'TENANTRY_ADMIN_URL',
  operatorUrl: 'TENANTRY_OPERATOR_URL',
  schema: 'TENANTRY_SCHEMA',
} as const;

/**
 * Checks a configuration and fills it from the environment.
 *
 * @param source where the input came from, for the message
 * @throws TNT_CONFIG_INVALID naming the field; its value is never shown, because it may hold a password
 */
export function parseConfig(
  input: unknown,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  source = 'tenantry.config.ts',
): Config {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new TenantryError('TNT_CONFIG_INVALID', `${source}: the default export must be an object.`);
  }
  const merged: Record<string, unknown> = { ...input };
  const origins: Record<string, string> = {};
  for (const [field, variable] of Object.entries(environmentFields)) {
    const value = environment[variable];
    if (merged[field] === undefined && value !== undefined && value !== '') {
      merged[field] = value;
      origins[field] = variable;
    }
  }
  const result = configSchema.safeParse(merged);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => {
    const field = issue.path.join('.');
    const origin = origins[field] ?? source;
    return `${origin}: ${field === '' ? '' : `${field}: `}${issue.message}`;
  });
  throw new TenantryError('TNT_CONFIG_INVALID', `The configuration is not valid. ${issues.join('; ')}`, {
    details: issues,
  });
}
