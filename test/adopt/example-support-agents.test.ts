import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dumpSchema } from '../../src/adopt/index.ts';
import { parse } from 'yaml';
import { tenantry } from '../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const example = fileURLToPath(new URL('../../examples/adopt-support-agents', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'tenantry-example-'));
const login = `support_v1_${randomBytes(4).toString('hex')}`;
let db: TestDatabase;
let old: pg.Pool;

beforeAll(async () => {
  db = await createTestDatabase();
  await db.query(
    `create role ${login} login password 'old'; grant ${login} to tenantry_admin; grant create on schema public to ${login}`,
  );
  const url = new URL(db.adminUrl);
  url.username = login;
  url.password = 'old';
  old = new pg.Pool({ connectionString: url.toString(), max: 2 });
  old.on('error', () => {});
  await old.query(readFileSync(join(example, 'schema.sql'), 'utf8'));
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await old.end();
  await db.drop();
  const last = new pg.Client({ connectionString: new URL('/postgres', db.superuserUrl).toString() });
  await last.connect();
  await last.query(`drop role if exists ${login}`);
  await last.end();
});

const command = (words: string, ...more: string[]) =>
  tenantry(['adopt', ...words.split(' '), ...more], { DATABASE_URL: db.adminUrl });
const hooks = ['--hooks', join(example, 'hooks.ts')];
const file = ['--file', join(example, 'tenantry.plan.yaml')];
/** The example's rows, in the columns that it had. */
const rows = () =>
  db.query<{ rows: string }>(`
    select md5(string_agg(r, chr(10) order by r)) as rows from (
      select format('s %s %s %s', id, name, domain) as r from stores
      union all select format('c %s %s %s %s %s %s', id, store_id, visitor, status, started_at, agent_instance_id) from conversations
      union all select format('m %s %s %s %s', id, conversation_id, author, body) from messages
      union all select format('d %s', d) from agent_definitions d union all select format('i %s', i.id) from agent_instances i
      union all select format('k %s', k.id) from organization_api_keys k) x`);

describe('C6: the example of the support agents', () => {
  test('from inspect to enforced and back, by the commands of its README', async () => {
    const before = { schema: await dumpSchema(db.admin), rows: await rows() };

    expect((await command('inspect')).code).toBe(0);
    // planned again with the decisions of the example, nothing is missing and nothing else is decided
    const copy = join(folder, 'plan.yaml');
    copyFileSync(join(example, 'tenantry.plan.yaml'), copy);
    expect((await command('plan', '--file', copy)).code).toBe(0);
    const classes = (path: string): unknown =>
      Object.entries((parse(readFileSync(path, 'utf8')) as { tables: Record<string, { class: string }> }).tables).map(
        ([table, decided]) => [table, decided.class],
      );
    expect(classes(copy)).toEqual(classes(join(example, 'tenantry.plan.yaml')));

    const refused = await command('run', ...file, ...hooks);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain('Is there a backup');
    expect(await dumpSchema(db.admin)).toBe(before.schema);

    const dry = await command('run --dry-run', ...file, ...hooks);
    expect(dry.err).toBe('');
    expect(dry.code).toBe(0);
    expect(dry.out).toContain('would deploy the customer-service agent in 3 stores');
    expect(dry.out).toContain('would link 60 conversations');
    expect(await rows()).toEqual(before.rows);

    const shadow = await command('run --to shadow --yes', ...file, ...hooks);
    expect(shadow.err).not.toContain('TNT_');
    expect(shadow.code).toBe(0);
    for (const step of ['a backup was confirmed', 'has the tier enterprise', 'customer-service 1.0.0', 'linked 60'])
      expect(shadow.err).toContain(step);
    expect(shadow.out.match(/pk_widget_[\w-]{43}$/gm)).toHaveLength(3);

    // the old application goes on
    await old.query(`insert into stores (name, domain) values ('Auresta Garden', 'garden.example')`);
    await old.query(`insert into conversations (store_id, visitor) values (4, 'late'), (1, 'late too')`);
    const open = await command('verify', ...hooks);
    expect(open.code).toBe(3);
    expect(open.out).toContain('60 conversations linked, 2 not');

    const enforced = await command('run --force --yes --json', ...file, ...hooks);
    expect(enforced.code).toBe(0);
    const { revealed } = JSON.parse(enforced.out) as { revealed: string[] };
    expect(revealed.map((text) => text.replace(/_[\w-]{43}$/, ''))).toEqual([
      'widget key of Auresta Garden: pk_widget',
      'live key: sk_live',
      'test key: sk_test',
    ]);
    const verified = await command('verify', ...hooks);
    expect(verified.out).toContain('1 organization, 4 of 4 stores with a widget key');
    expect(verified.out).toContain('62 conversations linked, 0 not');
    expect(verified.code).toBe(0);

    // only hashes are kept, and each key that was shown has one
    const [key] = revealed.filter((text) => text.startsWith('live key')).map((text) => text.slice('live key: '.length));
    expect(
      await db.query('select mode, prefix from organization_api_keys where key_hash = sha256($1)', [
        Buffer.from(key ?? ''),
      ]),
    ).toEqual([{ mode: 'live', prefix: key?.slice(0, 12) }]);
    const kept = JSON.stringify(
      await db.query(
        'select k::text from organization_api_keys k union all select h::text from tenantry.adoption_hooks h',
      ),
    );
    expect(kept).not.toContain(key);
    expect(await db.query(`select name, slug, settings from tenantry.organizations`)).toEqual([
      { name: 'Auresta', slug: 'auresta', settings: { tier: 'enterprise' } },
    ]);

    // every row is the organization's, and without a context nobody sees one
    for (const table of ['stores', 'conversations', 'messages', 'agent_instances', 'organization_api_keys']) {
      expect(
        await db.query(
          `select count(*)::int as others from ${table} where tenant_id <> (select id from tenantry.organizations)`,
        ),
      ).toEqual([{ others: 0 }]);
      expect((await old.query(`select 1 from ${table}`)).rows).toEqual([]);
    }
    // the old application keeps working for its one organization
    expect((await command('legacy-login', login, '--organization', 'auresta')).code).toBe(0);
    expect((await old.query('select count(*)::int as n from conversations')).rows).toEqual([{ n: 62 }]);
    expect((await command('status')).out).toContain('made one live and one test key');

    expect((await command('undo --yes')).err).toContain('TNT_HOOKS_MISSING');
    const undone = await command('undo --yes', ...hooks);
    expect(undone.code).toBe(0);
    expect(await dumpSchema(db.admin)).toBe(before.schema);
    await old.query(`delete from conversations where visitor like 'late%'`);
    await old.query(`delete from stores where domain = 'garden.example'`);
    expect(await rows()).toEqual(before.rows);
    expect((await command('status')).out).toContain('undone');
  });
});
