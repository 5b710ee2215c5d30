import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createSyncStates, syncStateSchema } from '../../src/vault/index.ts';
import { directoryFixture, newOrganization, newUser } from '../directory/fixture.ts';

const f = directoryFixture();

describe('A1: oauth_tokens and sync_state', () => {
  it('have the columns, types, defaults and indexes that the mail pipeline names', async () => {
    const columns = await f.db.query<{
      table: string;
      column: string;
      type: string;
      required: boolean;
      default: string | null;
    }>(
      `select c.relname as "table", a.attname as "column", format_type(a.atttypid, a.atttypmod) as type, a.attnotnull as required,
         pg_get_expr(d.adbin, d.adrelid) as default
       from pg_attribute a join pg_class c on c.oid = a.attrelid left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
       where c.oid in ('tenantry.oauth_tokens'::regclass, 'tenantry.sync_state'::regclass) and a.attnum > 0`,
    );
    const named = (table: string, column: string) => columns.find((c) => c.table === table && c.column === column);
    const text = { type: 'text', required: true };
    const time = { type: 'timestamp with time zone' };
    expect(named('oauth_tokens', 'user_id')).toMatchObject({ type: 'uuid', required: true });
    expect(named('oauth_tokens', 'provider')).toMatchObject({ ...text, default: `'google'::text` });
    expect(named('oauth_tokens', 'access_token')).toMatchObject(text);
    expect(named('oauth_tokens', 'refresh_token')).toMatchObject(text);
    expect(named('oauth_tokens', 'expires_at')).toMatchObject({ ...time, required: true });
    expect(named('oauth_tokens', 'scopes')).toMatchObject({ type: 'text[]', required: false });
    expect(named('sync_state', 'sync_status')).toMatchObject({ ...text, default: `'idle'::text` });
    expect(named('sync_state', 'emails_synced')).toMatchObject({ type: 'integer', required: true, default: '0' });
    expect(named('sync_state', 'last_history_id')).toMatchObject({ type: 'text', required: false });
    expect(named('sync_state', 'last_sync_at')).toMatchObject({ ...time, required: false });
    expect(named('sync_state', 'error_message')).toMatchObject({ type: 'text', required: false });
    for (const table of ['oauth_tokens', 'sync_state'])
      for (const column of ['created_at', 'updated_at'])
        expect(named(table, column)).toMatchObject({ ...time, required: true });
    const indexes = await f.db.query<{ name: string }>(
      `select indexrelid::regclass::text as name from pg_index where indrelid in ('tenantry.oauth_tokens'::regclass, 'tenantry.sync_state'::regclass)`,
    );
    const names = indexes.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['tenantry.idx_oauth_tokens_user_id', 'tenantry.idx_sync_state_user_id']),
    );
  });

  it('F4: every query by tenant goes by an index', async () => {
    const client = await f.db.admin.connect();
    try {
      await client.query('begin');
      const { tenantId: t } = await newOrganization(f);
      const sealed = `'v1.1.' || repeat('A', 40)`;
      await client.query(
        `with people as (insert into tenantry.users (email) select 'plan' || i || '@example.com' from generate_series(1, 400) i returning id)
         insert into tenantry.org_members (tenant_id, user_id) select '${t}', id from people`,
      );
      for (const statement of [
        `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped, status)
           select '${t}', i, 'k', decode(repeat('00', 61), 'hex'), case i when 1 then 'current' else 'retired' end from generate_series(1, 400) i`,
        `insert into tenantry.oauth_tokens (tenant_id, user_id, access_token, refresh_token, expires_at)
           select '${t}', user_id, ${sealed}, ${sealed}, now() from tenantry.org_members where tenant_id = '${t}'`,
        `insert into tenantry.oauth_states (tenant_id, user_id, state_hash, provider, issuer, checks, redirect_uri, scopes, expires_at)
           select '${t}', user_id, sha256(user_id::text::bytea), 'p', 'i', ${sealed}, 'r', '{}', now() from tenantry.org_members where tenant_id = '${t}'`,
        `insert into tenantry.oauth_revocations (tenant_id, user_id, provider, issuer, token)
           select '${t}', user_id, 'p', 'i', ${sealed} from tenantry.org_members where tenant_id = '${t}'`,
        `insert into tenantry.sync_state (tenant_id, user_id) select '${t}', user_id from tenantry.org_members where tenant_id = '${t}'`,
        `insert into tenantry.oauth_providers (tenant_id, name, issuer, client_id, client_secret)
           select '${t}', 'p' || i, 'https://x', 'c', ${sealed} from generate_series(1, 400) i`,
        `insert into tenantry.secrets (tenant_id, name) select '${t}', 's' || i from generate_series(1, 400) i`,
        `insert into tenantry.secret_versions (tenant_id, secret_id, version, value) select '${t}', id, 1, ${sealed} from tenantry.secrets where tenant_id = '${t}'`,
        'analyze tenantry.data_keys, tenantry.oauth_tokens, tenantry.oauth_states, tenantry.oauth_revocations',
        'analyze tenantry.sync_state, tenantry.oauth_providers, tenantry.secrets, tenantry.secret_versions',
      ])
        await client.query(statement);
      const u = randomUUID();
      for (const [statement, index] of [
        [
          `select * from tenantry.oauth_tokens where tenant_id = '${t}' and user_id = '${u}' and provider = 'google'`,
          'idx_oauth_tokens_user_id',
        ],
        [`select * from tenantry.oauth_tokens where tenant_id = '${t}' and data_key = 2`, 'oauth_tokens_data_key_idx'],
        [
          `select * from tenantry.oauth_states where state_hash = '\\x00' and tenant_id = '${t}'`,
          'oauth_states_state_hash_key',
        ],
        [`select * from tenantry.oauth_revocations where tenant_id = '${t}' and id = '${u}'`, 'oauth_revocations_pkey'],
        [
          `select * from tenantry.secrets where tenant_id = '${t}' and service = 'application' and name > 'a' order by name limit 5`,
          'secrets_name_key',
        ],
        [
          `select * from tenantry.secret_versions where tenant_id = '${t}' and secret_id = '${u}' order by version desc`,
          'secret_versions_pkey',
        ],
        [`select * from tenantry.data_keys where tenant_id = '${t}' and status = 'current'`, 'data_keys_current_key'],
        [`select * from tenantry.data_keys where tenant_id = '${t}' and version = 3`, 'data_keys_pkey'],
        [
          `select * from tenantry.oauth_providers where tenant_id = '${t}' and name = 'own'`,
          'oauth_providers_name_key',
        ],
        [`select * from tenantry.sync_state where tenant_id = '${t}' and user_id = '${u}'`, 'idx_sync_state_user_id'],
      ] as const) {
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${statement}`);
        expect(rows.map((row) => row['QUERY PLAN']).join('\n'), statement).toContain(index);
      }
    } finally {
      await client.query('rollback');
      client.release();
    }
  });

  it('A3: sync states are made, read, listed, changed and deleted by their user; a missing one gives null', async () => {
    const states = createSyncStates(f.kernel);
    const org = await newOrganization(f);
    const member = await org.member();
    await org.asAdmin(async () => {
      expect(await states.mine()).toBeNull();
      const made = await states.create();
      expect(syncStateSchema.parse(made)).toMatchObject({
        userId: org.adminId,
        syncStatus: 'idle',
        emailsSynced: 0,
        lastHistoryId: null,
      });
      await expect(states.create()).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      expect(await states.get(made.id)).toEqual(made);
      expect(await states.mine()).toEqual(made);
      const lastSyncAt = new Date('2026-11-22T08:00:00Z');
      expect(
        await states.update(made.id, {
          syncStatus: 'error',
          errorMessage: 'quota',
          emailsSynced: 12,
          lastHistoryId: '9',
          lastSyncAt,
        }),
      ).toMatchObject({ syncStatus: 'error', errorMessage: 'quota', emailsSynced: 12, lastHistoryId: '9', lastSyncAt });
      expect(await states.update(made.id, {})).toMatchObject({ syncStatus: 'error' });
      expect(await states.update(made.id, { errorMessage: null, syncStatus: 'idle' })).toMatchObject({
        errorMessage: null,
      });
      await expect(states.update(made.id, { emailsSynced: -1 })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      await expect(states.update(made.id, { syncStatus: 'done' } as never)).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
      expect(await states.list({ limit: 1 })).toMatchObject({ items: [{ id: made.id }], nextCursor: null });
      await org.as(member, async () => {
        expect(await states.get(made.id)).toBeNull();
        expect(await states.update(made.id, { emailsSynced: 1 })).toBeNull();
        expect(await states.delete(made.id)).toBeNull();
        expect((await states.list()).items).toEqual([]);
      });
      expect(await states.delete(made.id)).toMatchObject({ id: made.id });
      for (const id of [made.id, randomUUID(), 'x']) {
        expect(await states.get(id)).toBeNull();
        expect(await states.update(id, {})).toBeNull();
        expect(await states.delete(id)).toBeNull();
      }
    });
    const stranger = await newUser(f);
    await expect(org.as(stranger, () => states.create())).rejects.toMatchObject({
      code: expect.stringMatching(/TNT_(NOT_FOUND|FORBIDDEN)/) as string,
    });
  });
});
