import { describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createEndUsers, createNamespaces } from '../../src/directory/index.ts';
import { createPool } from '../../src/pool/index.ts';
import { createKernel } from '../../src/database/kernel.ts';
import { directoryFixture, newOrganization, newUser } from './fixture.ts';

const f = directoryFixture();
const endUsers = () => createEndUsers(f.kernel);
const namespaces = () => createNamespaces(f.kernel);

describe('B5: end users by the developer’s own external_id', () => {
  it('are made on first use, and are the same ever after', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(() => namespaces().create({ name: 'main' }));
    await withTenant({ tenantId: a.tenantId }, async () => {
      const made = await endUsers().ensure({ externalId: 'customer-1', name: 'Ann', metadata: { plan: 'gold' } });
      expect(made).toMatchObject({ externalId: 'customer-1', name: 'Ann', metadata: { plan: 'gold' } });
      expect(await endUsers().ensure({ externalId: 'customer-1', name: 'Other' })).toEqual(made);
      expect(await endUsers().getByExternalId({ externalId: 'customer-1' })).toEqual(made);
      expect(await endUsers().getByExternalId({ externalId: 'customer-2' })).toBeNull();
      expect(await endUsers().update(made.id, { name: null, metadata: {} })).toMatchObject({
        name: null,
        metadata: {},
      });
      expect((await endUsers().list()).items).toHaveLength(1);
    });
  });

  it('a hundred at once make one', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(() => namespaces().create({ name: 'main' }));
    const pool = createPool({ connectionString: f.db.appUrl, max: 40 });
    try {
      const many = createEndUsers(createKernel(pool));
      const made = await withTenant({ tenantId: a.tenantId }, () =>
        Promise.all(Array.from({ length: 100 }, () => many.ensure({ externalId: 'everybody' }))),
      );
      expect(new Set(made.map(({ id }) => id)).size).toBe(1);
    } finally {
      await pool.end();
    }
    expect(await f.db.query('select 1 from tenantry.end_users where tenant_id = $1', [a.tenantId])).toHaveLength(1);
    expect(
      await f.db.query(`select 1 from tenantry.principals where tenant_id = $1 and kind = 'end_user'`, [a.tenantId]),
    ).toHaveLength(1);
  });

  it('are unique per namespace: the same id in another namespace or organization is somebody else', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const ids = new Set<string>();
    for (const organization of [a, b]) {
      await organization.asAdmin(async () => {
        for (const name of ['development', 'production']) {
          const { id: namespaceId } = await namespaces().create({ name });
          ids.add((await endUsers().ensure({ externalId: 'u1', namespaceId })).id);
        }
      });
    }
    expect(ids.size).toBe(4);
  });

  it('belong to no other organization: nothing of them is seen, changed, or made in a foreign namespace', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const namespace = await a.asAdmin(() => namespaces().create({ name: 'main' }));
    const made = await a.asAdmin(() => endUsers().ensure({ externalId: 'u1' }));
    await b.asAdmin(async () => {
      expect(await endUsers().get(made.id)).toBeNull();
      expect(await endUsers().update(made.id, { name: 'x' })).toBeNull();
      expect(await endUsers().delete(made.id)).toBeNull();
      expect(await endUsers().getByExternalId({ externalId: 'u1', namespaceId: namespace.id })).toBeNull();
      await expect(endUsers().ensure({ externalId: 'u2', namespaceId: namespace.id })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      expect(await f.principals.account(made.id)).toBeNull();
    });
  });

  it('say what is wrong with the namespace: none, inactive', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await expect(endUsers().ensure({ externalId: 'u1' })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
        message: expect.stringContaining('no default namespace'),
      });
      const made = await namespaces().create({ name: 'main' });
      await endUsers().ensure({ externalId: 'u1' });
      await namespaces().update(made.id, { active: false });
      await expect(endUsers().ensure({ externalId: 'u2' })).rejects.toMatchObject({ code: 'TNT_NAMESPACE_INACTIVE' });
      expect(await endUsers().ensure({ externalId: 'u1' })).toMatchObject({ externalId: 'u1' });
      await expect(endUsers().ensure({ externalId: '' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      await expect(endUsers().ensure({ externalId: 'a\0b' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    });
  });

  it('are principals that own and are granted things, and are deleted by end_users.write alone', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(() => namespaces().create({ name: 'main' }));
    const made = await a.asAdmin(() => endUsers().ensure({ externalId: 'u1' }));
    expect(await a.asAdmin(() => f.principals.get(made.id))).toMatchObject({ kind: 'end_user', removedAt: null });
    await expect(a.as(await a.member(), () => endUsers().delete(made.id))).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
    expect(await a.asAdmin(() => endUsers().delete(made.id))).toMatchObject({ id: made.id });
    expect(await a.asAdmin(() => f.principals.get(made.id))).toBeNull();
  });
});

describe('B8: end users through a key, and in person', () => {
  const keyContext = async (
    a: Awaited<ReturnType<typeof newOrganization>>,
    namespaceId: string,
    permissions: string,
  ) => {
    const [key] = await f.db.query<{ id: string }>(
      `insert into tenantry.api_keys (tenant_id, namespace_id, name, permissions) values ($1, $2, 'k', $3) returning id`,
      [a.tenantId, namespaceId, permissions],
    );
    return { tenantId: a.tenantId, namespaceId, apiKeyId: key!.id };
  };

  it('a key reads, writes and deletes as it may, in its namespace alone', async () => {
    const a = await newOrganization(f);
    const [one, two] = await a.asAdmin(async () => [
      await namespaces().create({ name: 'one' }),
      await namespaces().create({ name: 'two' }),
    ]);
    const mine = await a.asAdmin(() => endUsers().ensure({ externalId: 'mine' }));
    const other = await a.asAdmin(() => endUsers().ensure({ externalId: 'other', namespaceId: two.id }));
    await withTenant(await keyContext(a, one.id, '{read}'), async () => {
      expect((await endUsers().list()).items.map(({ id }) => id)).toEqual([mine.id]);
      expect(await endUsers().get(other.id)).toBeNull();
      expect((await namespaces().list()).items.map(({ id }) => id)).toEqual([one.id]);
      await expect(endUsers().ensure({ externalId: 'new' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(endUsers().update(mine.id, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(endUsers().delete(mine.id)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    });
    await withTenant(await keyContext(a, one.id, '{write}'), async () => {
      expect(await endUsers().ensure({ externalId: 'new' })).toMatchObject({ namespaceId: one.id });
      expect(await endUsers().update(mine.id, { name: 'x' })).toMatchObject({ name: 'x' });
      await expect(endUsers().ensure({ externalId: 'new', namespaceId: two.id })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
    });
    await withTenant(await keyContext(a, one.id, '{read,delete}'), async () => {
      expect(await endUsers().delete(mine.id)).toMatchObject({ id: mine.id });
    });
  });

  it('a valid key that claims another organization is nobody there', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const [ofA, ofB] = [
      await a.asAdmin(() => namespaces().create({ name: 'main' })),
      await b.asAdmin(() => namespaces().create({ name: 'main' })),
    ];
    await b.asAdmin(() => endUsers().ensure({ externalId: 'secret' }));
    const key = await keyContext(a, ofA.id, '{read,write,delete}');
    for (const forged of [
      { ...key, tenantId: b.tenantId },
      { ...key, tenantId: b.tenantId, namespaceId: ofB.id },
    ]) {
      await withTenant(forged, async () => {
        expect((await endUsers().list()).items).toEqual([]);
        await expect(endUsers().ensure({ externalId: 'x', namespaceId: ofB.id })).rejects.toThrow();
      });
    }
    expect(await f.db.query('select 1 from tenantry.end_users where tenant_id = $1', [b.tenantId])).toHaveLength(1);
  });

  it('in person: itself alone, and nothing to change', async () => {
    const a = await newOrganization(f);
    const namespace = await a.asAdmin(() => namespaces().create({ name: 'main' }));
    const [me, other] = await a.asAdmin(async () => [
      await endUsers().ensure({ externalId: 'me' }),
      await endUsers().ensure({ externalId: 'other' }),
    ]);
    await withTenant({ tenantId: a.tenantId, namespaceId: namespace.id, endUserId: me.id }, async () => {
      expect((await endUsers().list()).items.map(({ id }) => id)).toEqual([me.id]);
      expect(await endUsers().get(other.id)).toBeNull();
      await expect(endUsers().update(me.id, { metadata: { plan: 'gold' } })).rejects.toMatchObject({
        code: 'TNT_FORBIDDEN',
      });
      await expect(endUsers().ensure({ externalId: 'third' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    });
  });
});

describe('B1: user types', () => {
  it('DEVELOPER owns the organization, TEAM_MEMBER works in it, END_USER is its customer', async () => {
    const a = await newOrganization(f);
    const member = await a.member();
    await a.asAdmin(async () => {
      const namespace = await namespaces().create({ name: 'main' });
      const endUser = await endUsers().ensure({ externalId: 'u1' });
      expect(await f.principals.account(a.adminId)).toEqual({
        id: a.adminId,
        userType: 'DEVELOPER',
        organizationId: a.tenantId,
        developerOrganizationId: null,
        namespaceId: null,
        externalId: null,
      });
      expect(await f.principals.account(member)).toMatchObject({
        userType: 'TEAM_MEMBER',
        organizationId: a.tenantId,
      });
      expect(await f.principals.account(endUser.id)).toEqual({
        id: endUser.id,
        userType: 'END_USER',
        organizationId: null,
        developerOrganizationId: a.tenantId,
        namespaceId: namespace.id,
        externalId: 'u1',
      });
      expect(await f.principals.account(await newUser(f))).toBeNull();
      expect(await f.principals.account('nobody')).toBeNull();
    });
  });

  it('when its maker has left, the administrator of longest standing is the developer', async () => {
    const a = await newOrganization(f);
    const [second, third] = [await a.member('admin'), await a.member('admin')];
    await a.as(second, async () => {
      expect(await f.principals.account(second)).toMatchObject({ userType: 'TEAM_MEMBER' });
      await f.members.delete(a.adminId);
      expect(await f.principals.account(second)).toMatchObject({ userType: 'DEVELOPER' });
      expect(await f.principals.account(third)).toMatchObject({ userType: 'TEAM_MEMBER' });
    });
  });
});
