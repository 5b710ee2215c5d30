import { describe, expect, it } from 'vitest';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import { inserted } from '../../src/directory/forbidden.ts';
import { parseInput } from '../../src/directory/input.ts';
import { organizationCreate } from '../../src/directory/index.ts';
import { writeError } from '../../src/directory/write-error.ts';
import { directoryFixture, newOrganization, newUser } from './fixture.ts';

const f = directoryFixture();

describe('A3: bad input at every edge', () => {
  it('zero bytes are bad input, in a value, a nested value or a key, and find nothing', async () => {
    for (const input of [
      { name: 'a\0', slug: 's' },
      { name: 'a', slug: 's', settings: { deep: [{ x: '\0' }] } },
      { name: 'a', slug: 's', settings: { 'k\0': 1 } },
    ]) {
      expect(() => parseInput(organizationCreate, input)).toThrow(/zero byte/);
    }
    expect(() => parseInput(organizationCreate, undefined)).toThrow(/^input: /);
    await withSystem('test', async () => {
      expect([
        await f.organizations.idBySlug('\0'),
        await f.organizations.idByKey('\0'),
        await f.organizations.idByDomain('\0'),
      ]).toEqual([null, null, null]);
      expect(await f.users.idByEmail('\0')).toBeNull();
    });
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      expect([
        await f.users.getByEmail('\0'),
        await f.teams.getBySlug('No Slug'),
        await f.catalog.get('\0', 'k'),
        await f.catalog.get('t', '\0'),
      ]).toEqual([null, null, null, null]);
      expect(await f.catalog.list('\0')).toEqual([]);
      expect(await f.catalog.remove('\0', 'k', a.tenantId)).toBe(false);
    });
  });

  it('what the database says and we do not know is thrown on as it is', () => {
    const unknown = Object.assign(new Error('odd'), { code: 'XX000' });
    expect(writeError(unknown, 'thing', 'create')).toBe(unknown);
    expect(writeError('text', 'thing', 'create')).toBe('text');
    expect(writeError(Object.assign(new Error('x'), { code: '23514' }), 'thing', 'create')).toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
    expect(
      writeError(Object.assign(new Error('x'), { code: '23505', constraint: 5 }), 'thing', 'create'),
    ).toMatchObject({ code: 'TNT_CONFLICT' });
    expect(() => inserted(null, 'thing')).toThrow('not stored');
  });

  it('contexts without a user act for nobody, and own what they make through the organization', async () => {
    const a = await newOrganization(f);
    await withTenant({ tenantId: a.tenantId }, async () => {
      await expect(f.organizations.create({ name: 'x', slug: 'x' })).rejects.toMatchObject({
        code: 'TNT_CONTEXT_MISSING',
      });
      await expect(f.invitations.create({ email: 'a@example.com' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      const made = await f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId });
      expect(made.ownerPrincipalId).toBe(a.tenantId);
    });
    expect((await a.asAdmin(() => f.resources.list())).items).toHaveLength(1);
  });

  it('pages of workspaces go on, and an organization without any is in the switcher', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await f.workspaces.personal();
      const first = await f.workspaces.list({ limit: 1 });
      const second = await f.workspaces.list({ limit: 1, cursor: first.nextCursor! });
      expect(new Set([...first.items, ...second.items].map((w) => w.id)).size).toBe(2);
    });
    const b = await newOrganization(f);
    await b.asAdmin(() => f.workspaces.delete(b.workspaceId));
    expect(await withUser({ userId: b.adminId }, () => f.workspaces.switcher())).toMatchObject([
      { organization: { id: b.tenantId }, workspaces: [] },
    ]);
  });

  it("a grant that one sees through a team is not one's to revoke", async () => {
    const a = await newOrganization(f);
    const userId = await a.member();
    const { team, resource } = await a.asAdmin(async () => {
      const team = await f.teams.create({ name: 'T', slug: 't' });
      await f.teams.addMember(team.id, userId);
      const resource = await f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId });
      await f.grants.attach({ resourceId: resource.id, principalId: team.id });
      return { team, resource };
    });
    await a.as(userId, () =>
      expect(f.grants.revoke(resource.id, team.id)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' }),
    );
    await a.asAdmin(() => f.grants.attach({ resourceId: resource.id, principalId: userId }));
    // one's own may always be given back
    expect(await a.as(userId, () => f.grants.revoke(resource.id, userId))).toBe(true);
    const stranger = await newUser(f);
    await a.as(stranger, async () => expect(await f.resources.list()).toEqual({ items: [], nextCursor: null }));
  });
});
