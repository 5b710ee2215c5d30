import { afterAll, beforeAll } from 'vitest';
import { createKernel } from '../../src/database/kernel.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import {
  createKeyring,
  createOAuth,
  createVault,
  type DataKeyCacheOptions,
  google,
  type OAuth,
  type OAuthOptions,
  type Vault,
} from '../../src/vault/index.ts';
import {
  type DirectoryFixture,
  directoryFixture,
  newOrganization,
  type TestOrganization,
} from '../directory/fixture.ts';
import { key } from './fixture.ts';
import { type LocalProvider, startLocalProvider } from './local-provider.ts';

export interface OAuthFixture extends DirectoryFixture {
  readonly provider: LocalProvider;
  readonly keyring: ReturnType<typeof createKeyring>;
  readonly keyBytes: Uint8Array;
  /** A process of the application: its own pool, key cache and OAuth service. */
  process(
    options?: Partial<OAuthOptions>,
    max?: number,
    cache?: DataKeyCacheOptions,
  ): { oauth: OAuth; vault: Vault; pool: TenantPool };
  readonly oauth: OAuth;
}

export function oauthFixture(): OAuthFixture {
  const f = directoryFixture() as OAuthFixture;
  const pools: TenantPool[] = [];
  const one = key('k1');
  const parts: { -readonly [K in keyof OAuthFixture]?: OAuthFixture[K] } = {
    keyring: createKeyring([one]),
    keyBytes: one.key,
    process(options = {}, max = 5, cache = {}) {
      const pool = createPool({ connectionString: f.db.appUrl, max, application_name: 'oauth-process' });
      pool.on('error', () => {});
      pools.push(pool);
      const kernel = createKernel(pool);
      const vault = createVault(kernel, { keyring: f.keyring, audit: f.audit, cache });
      const { issuer, clientId, clientSecret, redirectUri } = f.provider;
      const client = { issuer, clientId, clientSecret, allowInsecure: true };
      return {
        pool,
        vault,
        oauth: createOAuth(
          kernel,
          {
            providers: {
              google: google({ ...client, scopes: ['mail.read', 'mail.of-another-world'] }),
              local: { ...client, scopes: ['openid', 'offline_access', 'mail.read'] },
            },
            redirectUris: [redirectUri],
            timeoutSeconds: 2,
            ...options,
          },
          {
            keys: vault.keys,
            audit: f.audit,
            acrossTenants: (_reason, fn) => fn(createKernel(f.db.admin)),
          },
        ),
      };
    },
  };
  Object.assign(f, parts);
  beforeAll(async () => {
    const started = await startLocalProvider();
    Object.assign(f, { provider: started });
    Object.assign(f, { oauth: f.process().oauth });
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await f.provider.close();
  });
  return f;
}

/** A member who went through sign-in and consent. */
export async function connected(
  f: OAuthFixture,
  { provider = 'local', login = 'ann', oauth = f.oauth }: { provider?: string; login?: string; oauth?: OAuth } = {},
): Promise<TestOrganization> {
  const org = await newOrganization(f);
  await connect(f, org, { provider, login, oauth });
  return org;
}

export async function connect(
  f: OAuthFixture,
  org: TestOrganization,
  { provider = 'local', login = 'ann', oauth = f.oauth }: { provider?: string; login?: string; oauth?: OAuth } = {},
) {
  const { url } = await org.asAdmin(() => oauth.connect({ provider, returnTo: '/settings?tab=mail' }));
  const callback = await f.provider.browse(url, login);
  return org.asAdmin(() => oauth.finish(callback));
}

/** Makes the access token old: it runs out in this many seconds. */
export const age = (f: OAuthFixture, org: TestOrganization, secondsLeft: number) =>
  f.db.query(
    `update tenantry.oauth_tokens set expires_at = clock_timestamp() + make_interval(secs => $2), retry_at = null where tenant_id = $1`,
    [org.tenantId, secondsLeft],
  );
