import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKeyring, createVaultRotation, generateKey, loadKeyring, type Vault } from '../../src/vault/index.ts';
import { ownPlaces } from '../../src/vault/sealed-columns.ts';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';
import { tenantry } from '../support/command-line.ts';
import { key, vaultOver } from './fixture.ts';
import { start } from './processes/start.ts';

const f = directoryFixture();
const [k1, k2, k3] = [key('k1'), key('k2'), key('k3')];
const rotationWith = (...keys: (typeof k1)[]) =>
  createVaultRotation({ database: f.db.admin, keyring: createKeyring(keys) });
const folder = mkdtempSync(join(tmpdir(), 'tenantry-vault-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let organizations: TestOrganization[];
let vault: Vault;
beforeAll(async () => {
  vault = vaultOver(f, createKeyring([k1]));
  organizations = await Promise.all(Array.from({ length: 6 }, () => newOrganization(f)));
  for (const org of organizations) await org.asAdmin(() => fill(vault));
});

const count = 7;
const nameOf = (i: number): string => `secret-${i}`;
async function fill(v: Vault): Promise<void> {
  for (let i = 0; i < count; i += 1) await v.secrets.put({ name: nameOf(i), value: `value ${i}`, keepVersions: 2 });
  await v.secrets.put({ name: nameOf(0), value: 'value 0' });
}
async function readAll(v: Vault): Promise<void> {
  for (const org of organizations) {
    await org.asAdmin(async () => {
      for (let i = 0; i < count; i += 1) expect(await v.secrets.reveal(nameOf(i))).toBe(`value ${i}`);
    });
  }
}
const keyIds = async (): Promise<string[]> =>
  (await f.db.query<{ id: string }>('select distinct key_id as id from tenantry.data_keys order by 1')).map(
    ({ id }) => id,
  );

describe('vault rotate: the key-encryption key', () => {
  it('is replaced while the application reads and writes, and no reveal fails', async () => {
    const nodes = [createKeyring([k1, k2]), createKeyring([k2, k1])].map((keyring) =>
      vaultOver(f, keyring, { cache: { maxAgeMs: 1, maxKeys: 2 } }),
    );
    let stop = false;
    let reads = 0;
    const load = nodes.map(async (node, n) => {
      while (!stop) {
        const i = (reads += 1);
        await organizations[i % organizations.length]!.asAdmin(async () => {
          expect(await node.secrets.reveal(nameOf(i % count))).toBe(`value ${i % count}`);
          if (i % 10 === 0) await node.secrets.put({ name: `new-${n}-${i}`, value: 'x' });
        });
      }
    });
    const { rewrapped } = await rotationWith(k2, k1).rewrap({ batch: 2 });
    const both = await Promise.all([
      rotationWith(k1, k2).rewrap({ batch: 1 }),
      rotationWith(k1, k2).rewrap({ batch: 2 }),
    ]);
    await rotationWith(k2, k1).rewrap({ batch: 1 });
    while (reads < 60) await new Promise((done) => setTimeout(done, 5));
    stop = true;
    await Promise.all(load);
    expect(rewrapped).toBe(organizations.length);
    expect(both[0].rewrapped + both[1].rewrapped).toBeGreaterThanOrEqual(organizations.length);
    expect(await keyIds()).toEqual(['k2']);
    await readAll(vaultOver(f, createKeyring([k2])));
    const [org] = organizations;
    await expect(org!.asAdmin(() => vaultOver(f, createKeyring([k1])).secrets.reveal(nameOf(1)))).rejects.toMatchObject(
      {
        code: 'TNT_VAULT_KEY_MISSING',
        details: { keyId: 'k2' },
      },
    );
    await expect(rotationWith(k3).rewrap()).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_MISSING',
      details: { keyId: 'k2' },
    });
  });

  it('comes from a file that others cannot read, and a key added to it is found without a restart', async () => {
    const file = join(folder, 'keys');
    const line = (k: typeof k1): string => `${k.id}:${Buffer.from(k.key).toString('base64')}`;
    writeFileSync(file, `# the key ring\n${line(k1)}\n`, { mode: 0o600 });
    const running = vaultOver(f, loadKeyring({ file })!, { cache: { maxAgeMs: 1 } });
    const [org] = organizations;
    await expect(org!.asAdmin(() => running.secrets.reveal(nameOf(1)))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_MISSING',
    });
    writeFileSync(file, `${line(k2)},${line(k1)}\n`);
    expect(await org!.asAdmin(() => running.secrets.reveal(nameOf(1)))).toBe('value 1');
    // nor does a key that is put first need one: it wraps what is new
    const wrappedBy = async (): Promise<string> => {
      const fresh = await newOrganization(f);
      await fresh.asAdmin(() => running.secrets.put({ name: 'x', value: 'x' }));
      const [row] = await f.db.query<{ id: string }>(
        'select key_id as id from tenantry.data_keys where tenant_id = $1',
        [fresh.tenantId],
      );
      await fresh.asAdmin(() => f.organizations.delete(fresh.tenantId));
      return row!.id;
    };
    expect(await wrappedBy()).toBe('k2');
    writeFileSync(file, `${line(k3)},${line(k2)}\n`);
    expect(await wrappedBy()).toBe('k3');
    writeFileSync(file, 'half a f'); // somebody is writing it: what is known stays in use
    expect(await wrappedBy()).toBe('k3');
    expect(await org!.asAdmin(() => running.secrets.reveal(nameOf(2)))).toBe('value 2');
    chmodSync(file, 0o644);
    expect(() => loadKeyring({ file })).toThrow('open to other users');
    expect(() => loadKeyring({ file: join(folder, 'absent') })).toThrow('cannot be read');
    const environment = { TENANTRY_VAULT_KEYS: `${line(k2)},${line(k1)}` };
    expect(loadKeyring({ environment })).toMatchObject({ current: 'k2', ids: ['k2', 'k1'] });
    expect(loadKeyring({ environment: { TENANTRY_VAULT_KEYS: '' } })).toBeUndefined();
    // what is wrong is named; what stands there is not
    const secret = randomBytes(32).toString('base64');
    for (const [text, message] of [
      [secret, 'entry 1 is not of the form'],
      [`k1:${secret.slice(0, 20)}`, 'key "k1" has 15 bytes instead of 32'],
      [`k1:${secret},k1:${secret}`, 'key "k1" is there twice'],
      [`${secret}:k1`, 'the id of entry 1'],
      [`k1:${secret}?`, 'entry 1 is not base64'],
      [',', 'there is no key'],
    ] as const) {
      const said = (): string => {
        try {
          loadKeyring({ environment: { TENANTRY_VAULT_KEYS: text } });
          return 'nothing';
        } catch (error) {
          return (error as Error).message;
        }
      };
      expect(said()).toContain(`TENANTRY_VAULT_KEYS: ${message}`);
      expect(said()).not.toContain(secret.slice(0, 20));
    }
  });
});

describe('vault rotate --data-keys', () => {
  it('seals every value anew, in our tables and in those that are named, and prune deletes the old keys', async () => {
    const [org] = organizations;
    await f.db.query(`create table suppliers (tenant_id uuid not null, code text not null, iban text)`);
    const sealed = await org!.asAdmin(() =>
      vaultOver(f, createKeyring([k2])).seal('DE02', { table: 'suppliers', column: 'iban', row: 'a1' }),
    );
    await f.db.query('insert into suppliers values ($1, $2, $3), ($1, $4, null)', [org!.tenantId, 'a1', sealed, 'a2']);
    const columns = [{ table: 'suppliers', column: 'iban', row: 'code' }];
    const rotation = createVaultRotation({ database: f.db.admin, keyring: createKeyring([k2]), columns });
    const before = await f.db.query('select secret_id, version, value from tenantry.secret_versions order by 1, 2');
    const done = await rotation.rotateDataKeys({ batch: 4 });
    expect(done).toMatchObject({ dataKeys: organizations.length, damaged: [], resumed: false });
    expect(done.values).toBe(before.length + 1);
    expect((await rotation.status()).stale.every(({ values }) => values === 0)).toBe(true);
    await readAll(vaultOver(f, createKeyring([k2])));
    const [supplier] = await f.db.query<{ iban: string }>(`select iban from suppliers where code = 'a1'`);
    expect(supplier!.iban).toMatch(/^v1\.2\./);
    // a process that runs on takes the new key at once
    expect(
      await org!.asAdmin(() => vaultOver(f, createKeyring([k2])).seal('x', { table: 't', column: 'c', row: '1' })),
    ).toMatch(/^v1\.2\./);
    await f.db.query(`update suppliers set iban = $1 where code = 'a1'`, [sealed]); // a backup that was restored
    expect(await rotation.prune()).toEqual({ deleted: organizations.length - 1, kept: 1 });
    await f.db.query('delete from suppliers');
    expect(await rotation.prune()).toEqual({ deleted: 1, kept: 0 });
    await f.db.query('drop table suppliers');
  });

  it('knows every place: a column of ciphertext that is new must be in the list', async () => {
    const tables = await f.db.query<{ name: string }>(
      `select 'tenantry.' || table_name as name from information_schema.columns where table_schema = 'tenantry' and column_name = 'data_key' order by 1`,
    );
    expect(tables.map(({ name }) => name)).toEqual(ownPlaces.map(({ name }) => name).toSorted());
  });

  it('leaves what is damaged as it is, and lists it', async () => {
    const org = await newOrganization(f);
    const own = vaultOver(f, createKeyring([k2]));
    await org.asAdmin(async () => {
      await own.secrets.put({ name: 'good', value: 'good' });
      await own.secrets.put({ name: 'bad', value: 'bad' });
    });
    const [bad] = await f.db.query<{ id: string }>(
      `select id from tenantry.secrets where tenant_id = $1 and name = 'bad'`,
      [org.tenantId],
    );
    await f.db.query(
      `update tenantry.secret_versions set value = overlay(value placing 'AAAA' from 30) where secret_id = $1`,
      [bad!.id],
    );
    const damaged = [{ tenantId: org.tenantId, table: 'tenantry.secret_versions', row: `${bad!.id}/1` }];
    const rotation = rotationWith(k2);
    expect(await rotation.verify()).toMatchObject({ damaged });
    expect(await rotation.rotateDataKeys({ tenantId: org.tenantId, batch: 1 })).toMatchObject({
      dataKeys: 1,
      values: 1,
      damaged,
    });
    expect(await org.asAdmin(() => own.secrets.reveal('good'))).toBe('good');
    expect(await rotation.prune()).toEqual({ deleted: 0, kept: 1 });
    await f.db.query('delete from tenantry.secrets where id = $1', [bad!.id]);
    expect(await rotation.prune()).toEqual({ deleted: 1, kept: 0 });
    const abort = new AbortController();
    abort.abort();
    await expect(rotation.rotateDataKeys({ signal: abort.signal })).rejects.toMatchObject({ code: 'TNT_INTERRUPTED' });
    expect((await rotation.status()).open).toHaveLength(1);
    expect(await rotation.rotateDataKeys()).toMatchObject({ resumed: true });
  });

  it('killed with kill -9 again and again, goes on until everything is sealed anew; no value is lost', async () => {
    const hex = (k: typeof k1): string => `${k.id}:${Buffer.from(k.key).toString('hex')}`;
    const environment = { DATABASE_URL: f.db.adminUrl, KEYS: `${hex(k3)},${hex(k2)}` };
    await rotationWith(k2).prune();
    const [{ version: before } = { version: 0 }] = await f.db.query<{ version: number }>(
      `select max(version) as version from tenantry.data_keys where tenant_id = $1`,
      [organizations[0]!.tenantId],
    );
    const node = vaultOver(f, createKeyring([k2, k3]), { cache: { maxAgeMs: 1 } });
    let kills = 0;
    for (;;) {
      const run = start('rotate.ts', environment);
      await run.seen('ready');
      const dots = kills * 4 + 2; // a little further each time, since every run goes on where the last one stopped
      if (kills < 3) {
        await Promise.race([run.seen('.'.repeat(dots)), run.ended]);
        run.child.kill('SIGKILL');
      }
      const code = await run.ended;
      await readAll(node);
      if (code === 0) break;
      expect(code).toBe('SIGKILL');
      kills += 1;
    }
    expect(kills).toBeGreaterThan(1);
    expect(await keyIds()).toEqual(['k3']);
    const versions = await f.db.query<{ status: string; version: number }>(
      `select distinct status, version - $2 as version from tenantry.data_keys where tenant_id = $1 order by 1`,
      [organizations[0]!.tenantId, before],
    );
    expect(versions).toEqual([
      { status: 'current', version: 1 }, // one rotation, however many runs it took
      { status: 'retired', version: 0 },
    ]);
    const rotation = rotationWith(k3);
    expect((await rotation.status()).stale.every(({ values }) => values === 0)).toBe(true);
    expect(await rotation.verify()).toMatchObject({ damaged: [] });
  }, 60_000);
});

describe('tenantry vault', () => {
  it('makes keys, shows status, rotates, verifies and prunes, and prints no secret', async () => {
    const file = join(folder, 'ring');
    const made = await tenantry(['vault', 'keygen', 'k4', '--out', file]);
    expect(made).toMatchObject({ code: 0 });
    expect(statSync(file).mode & 0o077).toBe(0);
    const k4 = readFileSync(file, 'utf8').trim();
    expect(made.out + made.err).not.toContain(k4.slice(3));
    expect(await tenantry(['vault', 'keygen', 'k4', '--out', file])).toMatchObject({ code: 2 });
    expect((await tenantry(['vault', 'keygen', 'k5'])).out).toMatch(/^k5:[A-Za-z0-9+/]{43}=\n$/);
    expect(generateKey('k5')).not.toBe(generateKey('k5'));
    const ring = `${k4},k3:${Buffer.from(k3.key).toString('base64')}`;
    const environment = { DATABASE_URL: f.db.adminUrl, TENANTRY_ADMIN_URL: f.db.adminUrl, TENANTRY_VAULT_KEYS: ring };
    const outputs: string[] = [];
    const vaultCommand = async (...argv: string[]) => {
      const result = await tenantry(['vault', ...argv], environment);
      outputs.push(result.out, result.err);
      return result;
    };
    expect(await vaultCommand('status')).toMatchObject({
      code: 0,
      out: expect.stringContaining('tenantry vault rotate') as string,
    });
    expect(JSON.parse((await vaultCommand('rotate', '--json')).out)).toEqual({
      rewrapped: expect.any(Number) as number,
    });
    expect(JSON.parse((await vaultCommand('status', '--json')).out)).toMatchObject({
      current: 'k4',
      keys: [{ keyId: 'k4', held: true }],
    });
    expect(await vaultCommand('rotate', '--data-keys', '--tenant', organizations[0]!.tenantId)).toMatchObject({
      code: 0,
    });
    expect(await vaultCommand('verify')).toMatchObject({
      code: 0,
      out: expect.stringMatching(/\d+ values, 0 damaged/) as string,
    });
    expect(await vaultCommand('prune')).toMatchObject({ code: 0 });
    expect(await vaultCommand('rotate', '--tenant', organizations[0]!.tenantId)).toMatchObject({ code: 2 });
    const without = { ...environment, TENANTRY_VAULT_KEYS: `k3:${Buffer.from(k3.key).toString('base64')}` };
    expect(await tenantry(['vault', 'status'], without)).toMatchObject({
      code: 3,
      out: expect.stringContaining('NO') as string,
    });
    expect(await tenantry(['vault', 'verify'], without)).toMatchObject({
      code: 4,
      err: expect.stringContaining('"k4"') as string,
    });
    expect(await tenantry(['vault', 'status'], { ...environment, TENANTRY_VAULT_KEYS: '' })).toMatchObject({ code: 2 });
    for (const text of outputs)
      for (const secret of [k4.slice(3), Buffer.from(k3.key).toString('base64'), 'value 1'])
        expect(text).not.toContain(secret);
  });
});
