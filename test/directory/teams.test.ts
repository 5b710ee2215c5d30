import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant, withUser } from '../../src/context/index.ts';
import { principalSchema, systemRoles, teamSchema, workspaceSchema } from '../../src/directory/index.ts';
import { directoryFixture, newOrganization, newUser, unique } from './fixture.ts';

const f = directoryFixture();

describe('D9: teams', () => {
  it('are made, read, listed, changed and deleted, with their principal', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      const made = await f.teams.create({ name: 'One', slug: 'one' });
      expect(teamSchema.parse(made)).toMatchObject({ name: 'One', slug: 'one' });
      expect(await f.teams.get(made.id)).toEqual(made);
      expect(await f.teams.getBySlug('one')).toEqual(made);
      await expect(f.teams.create({ name: 'Again', slug: 'one' })).rejects.toMatchObject({ code: 'TNT_SLUG_TAKEN' });
      expect(await f.teams.update(made.id, { name: 'Eins' })).toMatchObject({ name: 'Eins' });
      expect(await f.teams.update(made.id, {})).toMatchObject({ name: 'Eins' });
      const two = await f.teams.create({ name: 'Two', slug: 'two' });
      const page = await f.teams.list({ limit: 1 });
      expect((await f.teams.list({ limit: 1, cursor: page.nextCursor! })).items.map((t) => t.id)).toEqual([two.id]);
      expect(principalSchema.parse(await f.principals.get(made.id))).toMatchObject({ kind: 'team', name: 'Eins' });
      expect(await f.teams.delete(made.id)).toMatchObject({ id: made.id });
      expect(await f.principals.get(made.id)).toBeNull();
      for (const id of [made.id, randomUUID(), 'x']) {
        expect([await f.teams.get(id), await f.teams.update(id, { name: 'x' }), await f.teams.delete(id)]).toEqual([
          null,
          null,
          null,
        ]);
      }
      expect(await f.teams.getBySlug('one')).toBeNull();
    });
  });

  it('hold members of the organization alone', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const userId = await a.member();
    const team = await a.asAdmin(() => f.teams.create({ name: 'T', slug: 't' }));
    await a.asAdmin(async () => {
      await f.teams.addMember(team.id, userId);
      await f.teams.addMember(team.id, userId);
      expect(await f.teams.listMembers(team.id)).toEqual([userId]);
      await expect(f.teams.addMember(team.id, b.adminId)).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
      await expect(f.teams.addMember('x', userId)).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      expect(await f.teams.removeMember(team.id, b.adminId)).toBe(false);
      expect(await f.teams.removeMember('x', userId)).toBe(false);
      expect(await f.teams.listMembers('x')).toEqual([]);
    });
    await b.asAdmin(async () => {
      expect(await f.teams.get(team.id)).toBeNull();
      await expect(f.teams.addMember(team.id, b.adminId)).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    });
    await a.as(userId, async () => {
      await expect(f.teams.addMember(team.id, a.adminId)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.teams.update(team.id, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.teams.delete(team.id)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      expect(await f.teams.removeMember(team.id, userId)).toBe(true);
    });
  });
});

describe('D9, D12: workspaces', () => {
  it("are personal (one), a team's or the organization's, and seen by their audience", async () => {
    const a = await newOrganization(f);
    const [inTeam, outside] = [await a.member(), await a.member()];
    const { team, of } = await a.asAdmin(async () => {
      const team = await f.teams.create({ name: 'T', slug: 't' });
      await f.teams.addMember(team.id, inTeam);
      const of = await f.workspaces.create({ kind: 'team', name: 'Team space', teamId: team.id });
      expect(workspaceSchema.parse(of)).toMatchObject({ kind: 'team', teamId: team.id, editorPrincipalId: team.id });
      return { team, of };
    });
    const mine = await a.as(inTeam, () => Promise.all(Array.from({ length: 20 }, () => f.workspaces.personal())));
    expect(new Set(mine.map((w) => w.id)).size).toBe(1);
    const seen = (userId: string) =>
      a.as(userId, async () => (await f.workspaces.list()).items.map((w) => w.kind).sort());
    expect(await seen(inTeam)).toEqual(['organization', 'personal', 'team']);
    expect(await seen(outside)).toEqual(['organization']);
    expect(await seen(a.adminId)).toEqual(['organization', 'team']);
    await a.as(outside, async () => {
      expect(await f.workspaces.get(of.id)).toBeNull();
      expect(await f.workspaces.get(mine[0]!.id)).toBeNull();
      expect(await f.workspaces.update(mine[0]!.id, { name: 'x' })).toBeNull();
      expect(await f.workspaces.delete(mine[0]!.id)).toBeNull();
      await expect(f.workspaces.update(a.workspaceId, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.workspaces.delete(a.workspaceId)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.workspaces.create({ kind: 'organization', name: 'x' })).rejects.toMatchObject({
        code: 'TNT_FORBIDDEN',
      });
      await expect(
        f.kernel.query(
          `insert into tenantry.workspaces (tenant_id, kind, name, user_id) values ($1, 'personal', 'x', $2)`,
          [a.tenantId, a.adminId],
        ),
      ).rejects.toMatchObject({ code: '42501' });
    });
    await a.asAdmin(async () => {
      expect(
        await f.workspaces.update(of.id, { name: 'Renamed', editorPrincipalId: systemRoles.admin.id }),
      ).toMatchObject({ name: 'Renamed', editorPrincipalId: systemRoles.admin.id });
      expect(await f.workspaces.update(of.id, {})).toMatchObject({ name: 'Renamed' });
      await expect(f.workspaces.create({ kind: 'team', name: 'x', teamId: randomUUID() })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(f.workspaces.create({ kind: 'personal', name: 'x' } as never)).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
      expect(await f.workspaces.delete(of.id)).toMatchObject({ id: of.id });
      for (const id of [of.id, 'x'])
        expect([await f.workspaces.get(id), await f.workspaces.update(id, {}), await f.workspaces.delete(id)]).toEqual([
          null,
          null,
          null,
        ]);
      const page = await f.workspaces.list({ limit: 1 });
      expect(page.nextCursor).toBeNull();
      await f.teams.delete(team.id);
    });
    await expect(
      f.db.query(`update tenantry.workspaces set kind = 'organization', user_id = null where id = $1`, [mine[0]!.id]),
    ).rejects.toMatchObject({ code: '23514' });
    await expect(withTenant({ tenantId: a.tenantId }, () => f.workspaces.personal())).rejects.toMatchObject({
      code: 'TNT_CONTEXT_MISSING',
    });
  });

  it('that hold resources are not deleted, nor is their team', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      const team = await f.teams.create({ name: 'T', slug: 't' });
      await f.teams.addMember(team.id, a.adminId);
      const workspace = await f.workspaces.create({ kind: 'team', name: 'W', teamId: team.id });
      const resource = await f.resources.create({ type: 'tag', name: 'x', workspaceId: workspace.id });
      await expect(f.workspaces.delete(workspace.id)).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      await expect(f.teams.delete(team.id)).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      await f.resources.delete(resource.id);
      expect(await f.teams.delete(team.id)).toMatchObject({ id: team.id });
      expect(await f.workspaces.get(workspace.id)).toBeNull();
    });
  });

  it('the switcher shows every organization of a user with what they may choose', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const userId = await newUser(f);
    await withUser({ userId }, () => f.organizations.create({ name: 'Mine', slug: unique('mine'), kind: 'personal' }));
    await a.asAdmin(() => f.members.create({ userId }));
    const theirs = await a.as(a.adminId, () => f.workspaces.personal());
    const entries = await a.as(userId, () => f.workspaces.switcher());
    expect(entries.map((e) => [e.organization.kind, e.workspaces.map((w) => w.kind)])).toEqual([
      ['personal', ['personal']],
      ['standard', ['organization']],
    ]);
    expect(JSON.stringify(entries)).not.toContain(theirs.id);
    expect(JSON.stringify(entries)).not.toContain(b.tenantId);
  });
});

describe('D9: principals', () => {
  it('are listed with names, in pages, for one organization', async () => {
    const a = await newOrganization(f);
    await a.member();
    await a.asAdmin(async () => {
      const first = await f.principals.list({ limit: 3 });
      const rest = await f.principals.list({ cursor: first.nextCursor! });
      const all = [...first.items, ...rest.items];
      expect(all.map((p) => p.kind).sort()).toEqual(['organization', 'role', 'role', 'user', 'user']);
      expect(all.every((p) => p.name !== null)).toBe(true);
      expect(await f.principals.get('x')).toBeNull();
      await expect(
        f.kernel.query(`insert into tenantry.principals (tenant_id, id, kind) values ($1, $2, 'user')`, [
          a.tenantId,
          randomUUID(),
        ]),
      ).rejects.toMatchObject({ code: '42501' });
    });
  });

  it('of a member who goes stay while they own something, and come back with the member', async () => {
    const a = await newOrganization(f);
    const [owner, other] = [await a.member(), await a.member()];
    const r = await a.as(owner, () => f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId }));
    await a.as(owner, () => f.workspaces.personal());
    await a.asAdmin(async () => {
      await f.members.delete(owner);
      await f.members.delete(other);
      expect(await f.principals.get(owner)).toMatchObject({ removedAt: expect.any(Date) });
      expect(await f.principals.get(other)).toBeNull();
    });
    await a.as(owner, async () => expect(await f.resources.get(r.id)).toBeNull());
    await a.asAdmin(() => f.members.create({ userId: owner }));
    await a.as(owner, async () => expect(await f.resources.get(r.id)).toMatchObject({ id: r.id }));
    expect(await a.asAdmin(() => f.principals.get(owner))).toMatchObject({ removedAt: null });
  });
});
