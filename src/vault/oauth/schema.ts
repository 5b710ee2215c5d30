import { z } from 'zod';
import { pageFields } from '../../directory/page.ts';
import { isLocalPath, providerName } from './providers.ts';

const scope = z.string().regex(/^[\x21\x23-\x5B\x5D-\x7E]{1,255}$/, { error: 'is no scope (RFC 6749, section 3.3)' });

export const oauthConnect = z.strictObject({
  provider: providerName.default('google'),
  /** One of the configured addresses; the first unless given. */
  redirectUri: z.string().optional(),
  scopes: z.array(scope).max(100).optional(),
  /** Where the application goes on afterwards: a path of its own. */
  returnTo: z
    .string()
    .refine(isLocalPath, { error: 'must be a path of this site: /… without //, \\ and control characters' })
    .optional(),
  /** Further parameters for the provider, such as `login_hint`. */
  parameters: z
    .record(
      z.string().refine((name) => !reserved.has(name), { error: 'is set by Tenantry' }),
      z.string().max(2000),
    )
    .default({}),
});
const reserved = new Set([
  'client_id',
  'code_challenge',
  'code_challenge_method',
  'nonce',
  'redirect_uri',
  'request',
  'request_uri',
  'response_mode',
  'response_type',
  'scope',
  'state',
]);
export const oauthNamed = z.strictObject({ provider: providerName.default('google') });

/** One member's connection to one provider, without its tokens. */
export const oauthConnectionSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  userId: z.guid(),
  provider: z.string(),
  issuer: z.string(),
  /** Whom the provider knows the user as. */
  subject: z.string().nullable(),
  /** What was granted, which may be less than what was asked for. */
  scopes: z.array(z.string()),
  /** `needs_consent`: the provider takes the refresh token no longer. */
  status: z.enum(['active', 'needs_consent']),
  expiresAt: z.date(),
  connectedAt: z.date(),
  refreshedAt: z.date().nullable(),
  /** Refreshes that failed since the last that did not, the last reason, and when the next is tried. */
  failures: z.int(),
  failure: z.string().nullable(),
  retryAt: z.date().nullable(),
  createdAt: z.date(),
  updatedAt: z.date(),
});

export const oauthProviderPut = z.strictObject({
  name: providerName,
  issuer: z.string(),
  clientId: z.string().min(1).max(1000),
  /** Empty for a public client. */
  clientSecret: z.string().max(10_000),
  scopes: z.array(scope).min(1).max(100).default(['openid', 'offline_access']),
});
/** A provider that an organization brought along, without its secret. */
export const oauthProviderSchema = z.strictObject({
  tenantId: z.guid(),
  id: z.guid(),
  name: z.string(),
  issuer: z.string(),
  clientId: z.string(),
  scopes: z.array(z.string()),
  createdAt: z.date(),
  updatedAt: z.date(),
});
export const oauthList = z.strictObject(pageFields);

export type OAuthConnect = z.input<typeof oauthConnect>;
export type OAuthNamed = z.input<typeof oauthNamed>;
export type OAuthConnection = z.infer<typeof oauthConnectionSchema>;
export type OAuthProviderPut = z.input<typeof oauthProviderPut>;
export type OAuthProviderInfo = z.infer<typeof oauthProviderSchema>;
