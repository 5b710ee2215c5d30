import { randomUUID } from 'node:crypto';
import { inspect } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createKeyring, secretInfoSchema, type Vault } from '../../src/vault/index.ts';
import { directoryFixture, newOrganization, type TestOrganization, unique } from '../directory/fixture.ts';
import { key, ring, vaultOver } from './fixture.ts';

const f = directoryFixture();
const k1 = key('k1');
let vault: Vault;
let a: TestOrganization;
let b: TestOrganization;
beforeAll(async () => {
  vault = vaultOver(f, createKeyring([k1]));
  [a, b] = [await newOrganization(f), await newOrganization(f)];
});
const place = { table: 'suppliers', column: 'iban', row: '1' };
const damaged = { code: 'TNT_SECRET_DAMAGED' };

describe('vault: values of an application', () => {
  it('open in their place alone: not in another row, column, table or organization, nor after any change', async () => {
    const sealed = await a.asAdmin(() => vault.seal('DE02 1203', place));
    expect(sealed).toMatch(/^v1\.1\.[A-Za-z0-9_-]+$/);
    expect(sealed).not.toContain('DE02');
    await b.asAdmin(() => vault.seal('so that b has a data key', place));
    await a.asAdmin(async () => {
      expect((await vault.open(sealed, place)).toString()).toBe('DE02 1203');
      expect(await vault.seal('DE02 1203', place)).not.toBe(sealed);
      for (const other of [{ row: '2' }, { column: 'bic' }, { table: 'customers' }, { column: 'iban1', row: '' }]) {
        await expect(vault.open(sealed, { ...place, ...other })).rejects.toMatchObject({
          code: other.row === '' ? 'TNT_INPUT_INVALID' : 'TNT_SECRET_DAMAGED',
        });
      }
    });
    await b.asAdmin(() => expect(vault.open(sealed, place)).rejects.toMatchObject(damaged));
    const payload = Buffer.from(sealed.split('.')[2]!, 'base64url');
    const withByte = (index: number, value: number): string => {
      const copy = Buffer.from(payload);
      copy[index] = value;
      return `v1.1.${copy.toString('base64url')}`;
    };
    const changed = [
      ...Array.from(payload.keys(), (index) => withByte(index, payload[index]! ^ 1)),
      withByte(0, 0), // an algorithm that was never there
      withByte(0, 2),
      `v1.2.${sealed.split('.')[2]}`, // another data key
      `v2.1.${sealed.split('.')[2]}`, // a form to come
      `v0.1.${sealed.split('.')[2]}`,
      `${sealed}A`,
      sealed.slice(0, -1),
      `v1.1.${Buffer.concat([payload.subarray(0, 13), payload.subarray(-16)]).toString('base64url')}`, // no ciphertext
      'v1.1.',
      'plain',
      '',
    ];
    await a.asAdmin(async () => {
      for (const text of changed) await expect(vault.open(text, place), text).rejects.toMatchObject(damaged);
      await expect(vault.open('hunter2', place)).rejects.toMatchObject({
        message: 'The value in suppliers.iban is no sealed value: it was never encrypted, or was cut off.',
      });
    });
    await expect(vault.seal('x', place)).rejects.toMatchObject({ code: 'TNT_CONTEXT_MISSING' });
  });

  it('show themselves as <encrypted> until somebody asks', async () => {
    const sealed = await a.asAdmin(() => vault.seal('hunter2', place));
    const value = vault.sealed(sealed, place);
    expect(
      [
        String(value),
        JSON.stringify({ value }),
        inspect(value),
        inspect({ value }, { depth: 9, showHidden: true }),
      ].join(),
    ).toBe('<encrypted>,{"value":"<encrypted>"},<encrypted>,{ value: <encrypted> }');
    expect(await a.asAdmin(() => value.reveal())).toBe('hunter2');
    expect(inspect(vault, { depth: 9, showHidden: true })).not.toContain(Buffer.from(k1.key).toString('hex'));
  });

  it('get one first data key, however many seal at once in several processes', async () => {
    const c = await newOrganization(f);
    const vaults = Array.from({ length: 5 }, () => vaultOver(f, createKeyring([k1])));
    const sealed = await c.asAdmin(() => Promise.all(vaults.flatMap((v) => [v.seal('1', place), v.seal('2', place)])));
    expect(await f.db.query('select version from tenantry.data_keys where tenant_id = $1', [c.tenantId])).toEqual([
      { version: 1 },
    ]);
    for (const text of sealed) expect((await c.asAdmin(() => vault.open(text, place))).length).toBe(1);
  });

  it('never seal with a key that the database does not hold any more', async () => {
    const c = await newOrganization(f);
    const running = vaultOver(f, createKeyring([k1]));
    const before = await c.asAdmin(() => running.seal('of before', place));
    // another key under the same number, as after a restore and another rotation
    await f.db.query('delete from tenantry.data_keys where tenant_id = $1', [c.tenantId]);
    await c.asAdmin(() => vaultOver(f, createKeyring([k1])).seal('makes the other key', place));
    const sealed = await c.asAdmin(() => running.seal('of now', place));
    const fresh = vaultOver(f, createKeyring([k1]));
    expect((await c.asAdmin(() => fresh.open(sealed, place))).toString()).toBe('of now');
    await c.asAdmin(() => expect(fresh.open(before, place)).rejects.toMatchObject(damaged));
  });

  it('name the key that is missing or wrong', async () => {
    const sealed = await a.asAdmin(() => vault.seal('x', place));
    const without = vaultOver(f, ring('k9'));
    await expect(a.asAdmin(() => without.open(sealed, place))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_MISSING',
      message: `The key ring has no key "k1". Data key 1 of organization ${a.tenantId} needs it.`,
      details: { keyId: 'k1', dataKey: 1 },
    });
    await expect(a.asAdmin(() => without.seal('x', place))).rejects.toMatchObject({ code: 'TNT_VAULT_KEY_MISSING' });
    const wrong = vaultOver(f, ring('k1'));
    await expect(a.asAdmin(() => wrong.open(sealed, place))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_WRONG',
      message: expect.stringContaining('"k1"') as string,
    });
    // a wrapped key of another organization is no key here
    await f.db.query(
      `update tenantry.data_keys k set wrapped = (select o.wrapped from tenantry.data_keys o where o.tenant_id = $2) where k.tenant_id = $1`,
      [(await sealedElsewhere()).tenantId, a.tenantId],
    );
    const fresh = vaultOver(f, createKeyring([k1]));
    await expect(moved!.org.asAdmin(() => fresh.open(moved!.sealed, place))).rejects.toMatchObject({
      code: 'TNT_VAULT_KEY_WRONG',
    });
  });
  let moved: { org: TestOrganization; sealed: string } | undefined;
  async function sealedElsewhere(): Promise<TestOrganization> {
    const org = await newOrganization(f);
    moved = { org, sealed: await org.asAdmin(() => vault.seal('x', place)) };
    return org;
  }
});

describe('vault: secrets', () => {
  it('are put, revealed, listed without their values, versioned and deleted, with an audit entry each', async () => {
    const org = await newOrganization(f);
    await org.asAdmin(async () => {
      const made = await vault.secrets.put({ name: 'smtp', value: 'first', keepVersions: 2, description: 'mail' });
      expect(secretInfoSchema.parse(made)).toMatchObject({ name: 'smtp', version: 1, description: 'mail' });
      expect(await vault.secrets.put({ name: 'smtp', value: 'second' })).toMatchObject({
        id: made.id,
        version: 2,
        keepVersions: 2,
      });
      expect(await vault.secrets.put({ name: 'smtp', value: 'third' })).toMatchObject({
        version: 3,
        description: 'mail',
      });
      expect(await vault.secrets.reveal('smtp')).toBe('third');
      expect(await vault.secrets.reveal(made.id, { version: 2 })).toBe('second');
      expect(await vault.secrets.reveal('smtp', { version: 1 })).toBeNull();
      expect((await vault.secrets.versions('smtp')).map((v) => [v.version, v.createdBy])).toEqual([
        [3, org.adminId],
        [2, org.adminId],
      ]);
      await vault.secrets.put({ name: 'api', value: '' });
      const first = await vault.secrets.list({ limit: 1 });
      const second = await vault.secrets.list({ limit: 1, cursor: first.nextCursor! });
      expect([...first.items, ...second.items].map((s) => s.name)).toEqual(['api', 'smtp']);
      expect(second.nextCursor).toBeNull();
      expect(await vault.secrets.reveal('api')).toBe('');
      expect(await vault.secrets.delete('smtp')).toMatchObject({ id: made.id });
      expect(await vault.secrets.get('smtp')).toBeNull();
      for (const name of ['smtp', 'never', randomUUID(), 'a\0b']) {
        expect(await vault.secrets.reveal(name)).toBeNull();
        expect(await vault.secrets.delete(name)).toBeNull();
        expect(await vault.secrets.versions(name)).toEqual([]);
      }
      const entries = (await f.audit.list({ limit: 200 })).items;
      expect(
        entries.map((e) => `${e.action} ${String(e.details['name'])} ${String(e.details['version'])}`).toReversed(),
      ).toEqual([
        'secret.created smtp 1',
        'secret.changed smtp 2',
        'secret.changed smtp 3',
        'secret.revealed smtp 3',
        'secret.revealed smtp 2',
        'secret.created api 1',
        'secret.revealed api 1',
        'secret.deleted smtp 3',
      ]);
      await expect(vault.secrets.put({ name: '', value: 'x' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    });
    expect(
      await f.db.query('select 1 from tenantry.secret_versions where tenant_id = $1', [org.tenantId]),
    ).toHaveLength(1);
  });

  it('count versions one by one when many write at once', async () => {
    const org = await newOrganization(f);
    const made = await org.asAdmin(() =>
      Promise.all(Array.from({ length: 8 }, (_, i) => vault.secrets.put({ name: 'shared', value: `value ${i}` }))),
    );
    expect(made.map((s) => s.version).toSorted((x, y) => x - y)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('are read with secrets.read and written with secrets.write alone, in the services and in the database', async () => {
    const org = await newOrganization(f);
    const role = async (permission: string): Promise<string> => {
      const { id } = await org.asAdmin(() => f.roles.create({ name: unique('role'), permissions: [permission] }));
      return org.member('member', id);
    };
    const [nobody, reader, writer] = [await org.member(), await role('secrets.read'), await role('secrets.write')];
    const { id } = await org.asAdmin(() => vault.secrets.put({ name: 'smtp', value: 'hunter2' }));
    const forbidden = { code: 'TNT_FORBIDDEN' };
    const values = () => f.kernel.query('select value from tenantry.secret_versions');
    await org.as(nobody, async () => {
      await expect(vault.secrets.reveal('smtp')).rejects.toMatchObject({
        ...forbidden,
        details: { permission: 'secrets.read' },
      });
      await expect(vault.secrets.put({ name: 'x', value: 'x' })).rejects.toMatchObject(forbidden);
      await expect(vault.secrets.put({ name: 'smtp', value: 'x' })).rejects.toMatchObject(forbidden);
      expect(await vault.secrets.delete('smtp')).toBeNull();
      expect((await vault.secrets.list()).items).toEqual([]);
      expect(await values()).toEqual([]);
    });
    await org.as(reader, async () => {
      expect(await vault.secrets.reveal('smtp')).toBe('hunter2');
      await expect(vault.secrets.put({ name: 'smtp', value: 'x' })).rejects.toMatchObject(forbidden);
      await expect(vault.secrets.delete('smtp')).rejects.toMatchObject(forbidden);
      await expect(
        f.kernel.query(
          `insert into tenantry.secret_versions (tenant_id, secret_id, version, value)
           select tenant_id, secret_id, 99, value from tenantry.secret_versions`,
        ),
      ).rejects.toMatchObject({ code: '42501' });
    });
    await org.as(writer, async () => {
      expect(await vault.secrets.put({ name: 'smtp', value: 'changed' })).toMatchObject({ id, version: 2 });
      await expect(vault.secrets.reveal('smtp')).rejects.toMatchObject(forbidden);
      expect(await values()).toEqual([]);
      for (const statement of [
        `update tenantry.secret_versions set value = value`,
        `update tenantry.data_keys set status = 'retired'`,
        `delete from tenantry.data_keys`,
        `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped) select tenant_id, 2, key_id, wrapped from tenantry.data_keys`,
      ])
        await expect(f.kernel.query(statement), statement).rejects.toMatchObject({ code: '42501' });
    });
    await withTenant({ tenantId: org.tenantId }, async () => {
      await expect(vault.secrets.reveal('smtp')).rejects.toMatchObject(forbidden);
    });
    expect(await b.asAdmin(() => vault.secrets.reveal(id))).toBeNull();
  });

  it('of a part of the system are read by the jobs of the organization, never by a person', async () => {
    const org = await newOrganization(f);
    const store = vault.store('webhooks');
    const id = await org.asAdmin(() => store.put('endpoint 1', 'whsec_1'));
    await expect(org.asAdmin(() => store.reveal(id))).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    expect(await org.asAdmin(() => vault.secrets.get('endpoint 1'))).toBeNull();
    await withTenant({ tenantId: org.tenantId }, async () => {
      expect(await store.reveal(id)).toBe('whsec_1');
      await store.delete(id);
      await expect(store.reveal(id)).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    });
    const member = await org.member();
    await expect(org.as(member, () => store.put('x', 'x'))).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    expect(() => vault.store('application')).toThrow('service');
  });

  it('moved by hand in the database do not open: another version, another secret, another organization', async () => {
    const [one, two] = [await newOrganization(f), await newOrganization(f)];
    const x = await one.asAdmin(() => vault.secrets.put({ name: 'x', value: 'of x' }));
    const y = await one.asAdmin(() => vault.secrets.put({ name: 'y', value: 'of y' }));
    await one.asAdmin(() => vault.secrets.put({ name: 'y', value: 'newer y' }));
    const z = await two.asAdmin(() => vault.secrets.put({ name: 'z', value: 'of z' }));
    const copy = (from: string, fromVersion: number, to: string, toVersion: number) =>
      f.db.query(
        `update tenantry.secret_versions set value = (select value from tenantry.secret_versions where secret_id = $1 and version = $2)
         where secret_id = $3 and version = $4`,
        [from, fromVersion, to, toVersion],
      );
    await copy(y.id, 1, y.id, 2);
    await expect(one.asAdmin(() => vault.secrets.reveal('y'))).rejects.toMatchObject(damaged);
    await copy(x.id, 1, y.id, 1);
    await expect(one.asAdmin(() => vault.secrets.reveal('y', { version: 1 }))).rejects.toMatchObject(damaged);
    await copy(x.id, 1, z.id, 1);
    await expect(two.asAdmin(() => vault.secrets.reveal('z'))).rejects.toMatchObject(damaged);
    await expect(
      f.db.query(`update tenantry.secret_versions set value = 'hunter2' where secret_id = $1`, [x.id]),
    ).rejects.toMatchObject({ code: expect.stringMatching(/^23/) as string });
  });

  it('go with their organization', async () => {
    const org = await newOrganization(f);
    await org.asAdmin(() => vault.secrets.put({ name: 'x', value: 'x' }));
    await org.asAdmin(() => f.organizations.delete(org.tenantId));
    for (const table of ['data_keys', 'secrets', 'secret_versions'])
      expect(await f.db.query(`select 1 from tenantry.${table} where tenant_id = $1`, [org.tenantId])).toEqual([]);
  });
});
