import { inspect } from 'node:util';
import pg from 'pg';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAudit } from '../../src/audit/index.ts';
import { withTenant } from '../../src/context/index.ts';
import { createKernel } from '../../src/database/kernel.ts';
import { createKeyring, createOAuth, createVault } from '../../src/vault/index.ts';
import { newOrganization } from '../directory/fixture.ts';
import { key, ring } from './fixture.ts';
import { age, oauthFixture } from './oauth-fixture.ts';

const f = oauthFixture();
const superuser = { client: undefined as pg.Client | undefined };
beforeAll(async () => {
  superuser.client = new pg.Client({ connectionString: f.db.superuserUrl });
  await superuser.client.connect();
});
afterAll(() => superuser.client!.end());

/** Everything that an error can show: message, stack, hidden fields, causes, JSON. */
const shown = (error: unknown): string =>
  `${inspect(error, { depth: 30, showHidden: true, getters: true })} ${String(error)} ${JSON.stringify(error)} ${(error as Error).stack ?? ''}`;

describe('attack: secrets in logs, errors and the server’s view of its queries', () => {
  it('none occurs anywhere, whatever goes right or wrong', async () => {
    const seen: string[] = [];
    const write = process.stdout.write.bind(process.stdout);
    const writeError = process.stderr.write.bind(process.stderr);
    const capture = (chunk: string | Uint8Array): boolean => seen.push(String(chunk)) > 0;
    process.stdout.write = capture;
    process.stderr.write = capture;
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const { rows } = await superuser.client!.query<{ query: string }>(
          'select query from pg_stat_activity where datname = current_database()',
        );
        seen.push(...rows.map(({ query }) => query));
        await new Promise((done) => setTimeout(done, 3));
      }
    })();
    const kek = key('k1');
    const plain = ['hunter2-plain-secret', 'iban-DE02120300000000202051'];
    const secrets = new Set([...plain, f.provider.clientSecret]);
    for (const form of ['base64', 'base64url', 'hex'] as const) secrets.add(Buffer.from(kek.key).toString(form));
    try {
      const logger = pino({ level: 'trace' }, { write: (line: string) => seen.push(line) });
      const kernel = createKernel(f.pool);
      const audit = createAudit(kernel, { logger });
      const vault = createVault(kernel, { keyring: createKeyring([kek]), audit });
      const { issuer, clientId, clientSecret, redirectUri } = f.provider;
      const oauth = createOAuth(
        kernel,
        {
          providers: {
            local: { issuer, clientId, clientSecret, scopes: ['openid', 'offline_access'], allowInsecure: true },
          },
          redirectUris: [redirectUri],
          timeoutSeconds: 1,
        },
        { keys: vault.keys, audit },
      );
      const org = await newOrganization(f);
      const fails = async (fn: () => Promise<unknown>): Promise<void> => {
        const error = await fn().then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
        if (error === undefined) throw new Error('it was meant to fail');
        seen.push(shown(error));
        logger.error(error);
      };
      const place = { table: 'suppliers', column: 'iban', row: '1' };
      await org.asAdmin(async () => {
        const secret = await vault.secrets.put({ name: 'smtp', value: plain[0]! });
        await vault.secrets.reveal('smtp');
        const sealed = await vault.seal(plain[1]!, place);
        await vault.open(sealed, place);
        seen.push(shown(vault), shown(secret), shown(vault.sealed(sealed, place)), shown(createKeyring([kek])));
        await fails(() => vault.open(`${sealed}AAAA`, place));
        await fails(() => vault.open(plain[0]!, place));
        await fails(() => vault.open(sealed, { ...place, row: '2' }));
        for (const other of [ring('k1'), ring('k9')]) {
          const wrong = createVault(kernel, { keyring: other, audit });
          await fails(() => wrong.secrets.reveal('smtp'));
          await fails(() => wrong.secrets.put({ name: 'smtp', value: plain[0]! }));
        }
        await fails(() => vault.secrets.put({ name: 'x'.repeat(300), value: plain[0]! }));
        await fails(() => vault.secrets.put({ name: 'x\0', value: plain[0]! }));
        await fails(() => vault.secrets.put({ name: 'x', value: plain[0]!, more: plain[1] } as never));

        const begin = async () => (await oauth.connect({ provider: 'local' })).url;
        const callback = await f.provider.browse(await begin(), 'ann');
        const broken = new URL(callback);
        broken.searchParams.set('code', 'wrong');
        await fails(() => oauth.finish(broken)); // takes the state with it
        await fails(() => oauth.finish(callback));
        const good = await f.provider.browse(await begin(), 'ann');
        secrets.add(new URL(good).searchParams.get('code')!);
        const { connection } = await oauth.finish(good);
        seen.push(shown(connection), shown(await oauth.accessToken({ provider: 'local' })), shown(oauth));
        for (const fault of ['cut', 'hang', 500, 400, 'lost answer'] as const) {
          f.provider.faults.set('/token', fault);
          await age(f, org, -1);
          await fails(() => oauth.accessToken({ provider: 'local' }));
          if (fault !== 'hang') await fails(async () => oauth.finish(await f.provider.browse(await begin(), 'ann')));
        }
        f.provider.faults.clear();
        await age(f, org, -1);
        await oauth.accessToken({ provider: 'local' });
        await f.provider.revokeAll();
        await age(f, org, -1);
        await fails(() => oauth.accessToken({ provider: 'local' }));
        f.provider.faults.set('/token/revocation', 500);
        await oauth.disconnect({ provider: 'local' });
        // not a member: the database refuses the row, and says which
        const stranger = await newOrganization(f);
        await fails(() =>
          withTenant({ tenantId: org.tenantId, userId: stranger.adminId }, () =>
            vault.secrets.put({ name: 'x', value: plain[0]! }),
          ),
        );
        await fails(() =>
          withTenant({ tenantId: org.tenantId, userId: stranger.adminId }, () => oauth.connect({ provider: 'local' })),
        );
      });
      for (const table of [
        'audit_log',
        'outbox',
        'secrets',
        'secret_versions',
        'oauth_tokens',
        'oauth_states',
        'oauth_revocations',
        'data_keys',
      ])
        seen.push(
          JSON.stringify(
            await f.db.query(`select x::text from tenantry.${table} x where tenant_id = $1`, [org.tenantId]),
          ),
        );
    } finally {
      watching = false;
      await watch;
      process.stdout.write = write;
      process.stderr.write = writeError;
    }
    for (const secret of f.provider.secrets) secrets.add(secret);
    const everything = seen.join('\n');
    expect(seen.length).toBeGreaterThan(100);
    expect(everything).toContain('secret.revealed'); // the logger was heard
    expect(everything).toContain('tenantry.oauth_tokens'); // and so was the server
    expect(secrets.size).toBeGreaterThan(12);
    for (const secret of secrets) {
      const at = everything.indexOf(secret);
      expect(at === -1 ? '' : everything.slice(Math.max(0, at - 300), at)).toBe('');
    }
  }, 30_000);
});
