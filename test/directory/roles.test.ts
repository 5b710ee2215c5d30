import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { currentTenant, withTenant, withUser } from '../../src/context/index.ts';
import { permissions, roleSchema, systemRoles } from '../../src/directory/index.ts';
import { directoryFixture, newOrganization } from './fixture.ts';

const f = directoryFixture();

describe('E6: roles and permissions', () => {
  it('system roles are the same in database and code', async () => {
    const rows = await f.db.query('select name, id, permissions from tenantry.system_roles order by name');
    expect(rows).toEqual(Object.entries(systemRoles).map(([name, role]) => ({ name, ...role })));
    for (const { permissions: held } of Object.values(systemRoles))
      for (const p of held) expect(['*', ...permissions]).toContain(p);
    const [asked] = await f.db.query<{ names: string[] }>(
      `select array_agg(distinct m[1]) names from pg_policies p,
         lateral regexp_matches(coalesce(p.qual, '') || coalesce(p.with_check, ''), 'caller_can\\(''([^'']+)''', 'g') m where p.schemaname = 'tenantry'`,
    );
    for (const name of asked!.names) expect(permissions, 'asked for by a policy').toContain(name);
  });

  it('custom roles are made, read, listed, changed and deleted', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      const made = await f.roles.create({ name: 'editor', permissions: ['teams.write', 'reports.export'] });
      expect(roleSchema.parse(made)).toMatchObject({ name: 'editor', system: false });
      expect(await f.roles.get(made.id)).toEqual(made);
      expect((await f.roles.list()).map((r) => r.name)).toEqual(['admin', 'member', 'editor']);
      await expect(f.roles.create({ name: 'editor' })).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      await expect(f.roles.create({ name: 'admin' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      await expect(f.roles.create({ name: 'x', permissions: ['no dots'] })).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
      expect(await f.roles.update(made.id, { description: 'd' })).toMatchObject({ description: 'd' });
      expect(await f.roles.update(made.id, {})).toMatchObject({ description: 'd' });
      await expect(f.roles.update(systemRoles.admin.id, { name: 'x' })).rejects.toMatchObject({
        code: 'TNT_FORBIDDEN',
      });
      await expect(f.roles.delete(systemRoles.member.id)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      const userId = await a.member('member', made.id);
      await expect(f.roles.delete(made.id)).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      await f.members.update(userId, { roleId: null });
      expect(await f.roles.delete(made.id)).toMatchObject({ id: made.id });
      for (const id of [made.id, randomUUID(), 'x']) {
        expect([await f.roles.get(id), await f.roles.update(id, { name: 'y' }), await f.roles.delete(id)]).toEqual([
          null,
          null,
          null,
        ]);
      }
    });
  });

  it('can() answers what the policies answer, by system and custom role, and nothing without a user', async () => {
    const a = await newOrganization(f);
    const role = await a.asAdmin(() =>
      f.roles.create({ name: 'lead', permissions: ['teams.write', 'reports.export'] }),
    );
    const [lead, plain] = [await a.member('member', role.id), await a.member()];
    const can = (userId: string, permission: `${string}.${string}`) =>
      a.as(userId, () => f.access.can(currentTenant(), permission));
    expect(await can(a.adminId, 'anything.at-all')).toBe(true);
    expect([
      await can(lead, 'teams.write'),
      await can(lead, 'reports.export'),
      await can(lead, 'members.write'),
    ]).toEqual([true, true, false]);
    expect([await can(plain, 'teams.write'), await can(plain, 'members.read')]).toEqual([false, true]);
    await a.as(lead, () => f.teams.create({ name: 'made by lead', slug: 'lead' }));
    await a.as(plain, () =>
      expect(f.teams.create({ name: 'x', slug: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' }),
    );
    await withTenant({ tenantId: a.tenantId }, async () => {
      expect(await f.access.can(currentTenant(), 'members.read')).toBe(false);
      await expect(f.access.assertCan('members.read')).rejects.toMatchObject({
        code: 'TNT_FORBIDDEN',
        message: expect.stringContaining('members.read'),
      });
    });
    await a.asAdmin(() => f.access.assertCan('members.write'));
    const b = await newOrganization(f);
    await b.as(a.adminId, async () => expect(await f.access.can(currentTenant(), 'members.read')).toBe(false));
  });

  it('can() answers for one resource: read, write, admin', async () => {
    const a = await newOrganization(f);
    const [owner, reader] = [await a.member(), await a.member()];
    const r = await a.as(owner, () => f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId }));
    await a.as(owner, () => f.grants.attach({ resourceId: r.id, principalId: reader }));
    const all = (userId: string) =>
      a.as(userId, () =>
        Promise.all(
          (['resource.read', 'resource.write', 'resource.admin'] as const).map((p) =>
            f.access.can(currentTenant(), p, r.id),
          ),
        ),
      );
    expect(await all(owner)).toEqual([true, true, true]);
    expect(await all(reader)).toEqual([true, false, false]);
    expect(await all(a.adminId)).toEqual([false, false, false]);
    await a.as(owner, async () => {
      expect(await f.access.can(currentTenant(), 'resource.read', 'x')).toBe(false);
      expect(await f.access.can(currentTenant(), 'resource.other' as never, r.id)).toBe(false);
    });
  });

  it('nobody gives a role or permission above their own', async () => {
    const a = await newOrganization(f);
    const role = await a.asAdmin(() => f.roles.create({ name: 'hr', permissions: ['members.write', 'roles.write'] }));
    const strong = await a.asAdmin(() => f.roles.create({ name: 'strong', permissions: ['catalog.write'] }));
    const [hr, plain] = [await a.member('member', role.id), await a.member()];
    await a.as(hr, async () => {
      const forbidden = { code: 'TNT_FORBIDDEN' };
      await expect(f.members.update(plain, { role: 'admin' })).rejects.toMatchObject(forbidden);
      await expect(f.members.update(hr, { role: 'admin' })).rejects.toMatchObject(forbidden);
      await expect(f.members.update(plain, { roleId: strong.id })).rejects.toMatchObject(forbidden);
      await expect(f.invitations.create({ email: 'x@example.com', role: 'admin' })).rejects.toMatchObject(forbidden);
      await expect(f.roles.create({ name: 'mine', permissions: ['*'] })).rejects.toMatchObject(forbidden);
      await expect(f.roles.update(role.id, { permissions: ['*'] })).rejects.toMatchObject(forbidden);
      expect(await f.members.update(plain, { roleId: role.id })).toMatchObject({ roleId: role.id });
    });
  });

  it('a role of another organization cannot be given', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const role = await b.asAdmin(() => f.roles.create({ name: 'b', permissions: [] }));
    const userId = await a.member();
    await a.asAdmin(async () => {
      await expect(f.members.update(userId, { roleId: role.id })).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
      expect(await f.roles.get(role.id)).toBeNull();
      expect(await f.roles.update(role.id, { name: 'x' })).toBeNull();
    });
    await withUser({ userId: a.adminId }, async () =>
      expect(await f.kernel.query('select 1 from tenantry.roles')).toEqual([]),
    );
  });
});
