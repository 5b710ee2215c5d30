import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPool, createTenantry, seedTestUser } from '../../src/index.ts';
import { startTenantry, tenantry } from '../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

const token = 'a-token-for-tests-0123456789';

describe('D8: tenantry serve', () => {
  let db: TestDatabase;
  const before = { ...process.env };
  beforeAll(async () => {
    db = await createTestDatabase();
    Object.assign(process.env, {
      DATABASE_URL: db.appUrl,
      TENANTRY_ADMIN_URL: db.adminUrl,
      TENANTRY_INTERNAL_TOKEN: token,
    });
  });
  afterAll(async () => {
    process.env = before;
    await db.drop();
  });

  it('serves the ping, tells the truth about the database, and stops at a signal', async () => {
    const pool = createPool({ connectionString: db.appUrl, max: 2 });
    const ann = await seedTestUser(createTenantry({ pool }).kernel, { email: 'ann@example.com' });
    await pool.end();

    const { ended, said, saying } = startTenantry(['serve', '--port', '0']);
    await saying('\n');
    const base = /http:\/\/[\d.:]+/.exec(said())![0];

    const ping = await fetch(`${base}/_int/tenancy/ping`, {
      headers: { authorization: `Bearer ${token}`, 'x-tenant-id': ann.tenantId, 'x-user-id': ann.userId },
    });
    expect(await ping.json()).toEqual({ tenant_id: ann.tenantId, user_id: ann.userId });
    expect((await fetch(`${base}/readyz`)).status).toBe(200);

    // the connections are lost, as at a fail-over: the next request works again
    const root = new pg.Client({ connectionString: db.superuserUrl });
    await root.connect();
    await root.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'Tenantry_Test_App'`,
    );
    await root.end();
    await new Promise((done) => setTimeout(done, 50));
    expect((await fetch(`${base}/readyz`)).status).toBe(200);

    await db.query(
      `insert into tenantry.migrations (id, name, checksum, tenantry_version) values (9999, 'later', 'x', '9')`,
    );
    const unready = await fetch(`${base}/readyz`);
    expect([unready.status, await unready.json()]).toEqual([503, { status: 'unready', code: 'TNT_SCHEMA_NEWER' }]);
    await db.query('delete from tenantry.migrations where id = 9999');

    process.emit('SIGTERM', 'SIGTERM');
    expect(await ended).toBe(0);
    await expect(fetch(`${base}/healthz`)).rejects.toThrow();
  });

  it('refuses to start on a login that can bypass, without a token, and on a schema that is missing', async () => {
    const bypass = await tenantry(['serve', '--port', '0'], { DATABASE_URL: db.adminUrl });
    expect([bypass.code, bypass.err]).toEqual([4, expect.stringContaining('TNT_LOGIN_CAN_BYPASS')]);
    const superuser = await tenantry(['serve', '--port', '0'], { DATABASE_URL: db.superuserUrl });
    expect(superuser.err).toContain('TNT_LOGIN_CAN_BYPASS');
    expect((await tenantry(['serve'], { TENANTRY_INTERNAL_TOKEN: '' })).err).toContain(
      'TENANTRY_INTERNAL_TOKEN is not set',
    );
    const empty = await createTestDatabase({ migrated: false });
    const missing = await tenantry(['serve', '--port', '0'], { DATABASE_URL: empty.appUrl });
    expect([missing.code, missing.err]).toEqual([4, expect.stringContaining('TNT_SCHEMA_MISSING')]);
    await empty.drop();
  });
});
