import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';
import { type CommandResult, tenantry } from '../support/command-line.ts';

const f = directoryFixture();
const pair = generateKeyPairSync('ed25519');
const signingKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
let folder: string;
let a: TestOrganization;
const run = (...argv: string[]): Promise<CommandResult> =>
  tenantry(argv, {
    DATABASE_URL: f.db.appUrl,
    TENANTRY_ADMIN_URL: f.db.adminUrl,
    TENANTRY_OPERATOR_URL: f.db.operatorUrl,
    TENANTRY_AUDIT_KEY: signingKey,
  });
const at = (name: string): string => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenantry-audit-'));
  await writeFile(at('audit.pub'), pair.publicKey.export({ type: 'spki', format: 'pem' }));
  a = await newOrganization(f);
  await a.asAdmin(async () => {
    for (const action of ['one', 'two', 'three']) await f.audit.record({ action });
  });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('tenantry audit', () => {
  it('lists, signs, exports, and verifies inside and outside of the database', async () => {
    const list = await run('audit', 'list', '--organization', a.tenantId, '--json');
    expect(JSON.parse(list.out)).toMatchObject([{ action: 'three', seq: 3 }, { action: 'two' }, { action: 'one' }]);
    const signed = await run('audit', 'checkpoint');
    expect(signed.out).not.toContain('PRIVATE');
    await writeFile(at('kept.jsonl'), signed.out);
    const exported = await run('audit', 'export', '--organization', a.tenantId, '--out', at('log.jsonl'));
    expect([exported.code, exported.err]).toEqual([0, expect.stringContaining('3 lines')]);
    const inside = await run('audit', 'verify', '--checkpoints', at('kept.jsonl'));
    expect([inside.code, inside.out]).toEqual([0, expect.stringContaining('0 broken')]);
    const outside = [
      'audit',
      'verify',
      '--file',
      at('log.jsonl'),
      '--checkpoints',
      at('kept.jsonl'),
      '--public-key',
      at('audit.pub'),
    ];
    expect(await run(...outside)).toMatchObject({
      code: 0,
      out: expect.stringContaining('3 entries up to 3; 1 checkpoint fits'),
    });
    await writeFile(at('log.jsonl'), (await readFile(at('log.jsonl'), 'utf8')).replace('"two"', '"2"'));
    expect(await run(...outside)).toMatchObject({ code: 3, out: expect.stringContaining('Entry 2 was changed') });
    const csv = await run('audit', 'export', '--organization', a.tenantId, '--format', 'csv');
    expect(csv.out.trim().split('\n')).toHaveLength(4);
  });

  it('finds an edit, drops nothing young, makes partitions, and asks before it drops', async () => {
    await f.db.query('alter table tenantry.audit_log disable trigger user');
    await f.db.query(`update tenantry.audit_log set action = 'x' where tenant_id = $1 and seq = 2`, [a.tenantId]);
    await f.db.query('alter table tenantry.audit_log enable trigger user');
    const found = await run('audit', 'verify', '--json');
    expect(found.code).toBe(3);
    expect(JSON.parse(found.out)).toMatchObject({
      broken: 1,
      reports: [{ tenantId: a.tenantId, problems: [{ kind: 'edit', seq: 2 }] }],
    });
    expect(await run('audit', 'retain', '--months', '12')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--yes'),
    });
    expect(await run('audit', 'retain', '--months', '12', '--yes')).toMatchObject({
      code: 0,
      out: expect.stringContaining('nothing that old'),
    });
    expect(await run('audit', 'maintain')).toMatchObject({ code: 0 });
    for (const argv of [
      ['audit', 'list'],
      ['audit', 'export', '--organization', a.tenantId, '--format', 'xml'],
      ['audit', 'retain', '--yes'],
      ['audit', 'verify', '--file', 'x', '--organization', 'y'],
    ])
      expect((await run(...argv)).code, argv.join(' ')).toBe(2);
    expect((await run('audit', 'list', '--organization', 'nobody')).err).toContain('TNT_TENANT_UNKNOWN');
  });

  it('watches a table and stops', async () => {
    await f.db.query('create table orders (id int primary key, tenant_id uuid, note text)');
    expect(await run('audit', 'watch', 'orders', '--without', 'note')).toMatchObject({
      code: 0,
      out: expect.stringContaining('left out: note'),
    });
    expect((await run('audit', 'watched')).out).toContain('public.orders');
    expect(await run('audit', 'unwatch', 'orders')).toMatchObject({ code: 0 });
    expect((await run('audit', 'watched')).out).toContain('There is none');
  });
});
