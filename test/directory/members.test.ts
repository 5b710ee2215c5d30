import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import { invitationSchema, memberSchema, userSchema } from '../../src/directory/index.ts';
import { directoryFixture, newOrganization, newUser, unique } from './fixture.ts';

const f = directoryFixture();

describe('A3, D9: users', () => {
  it('exist once per address, in any case, however many sign up at once', async () => {
    const email = `${unique('Mixed.Case')}@Example.com`;
    const ids = await withSystem('test', () =>
      Promise.all(Array.from({ length: 20 }, (_, i) => f.users.ensure({ email: i % 2 ? email : email.toLowerCase() }))),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await withSystem('test', () => f.users.idByEmail(email.toUpperCase()))).toBe(ids[0]);
    expect(await withSystem('test', () => f.users.idByEmail('nobody@example.com'))).toBeNull();
    await expect(f.users.ensure({ email: 'no address' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
  });

  it('see and change themselves, see members of their tenant, and nobody else', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const member = await a.member();
    await withUser({ userId: a.adminId }, async () => {
      expect(userSchema.parse(await f.users.get(a.adminId))).toMatchObject({ id: a.adminId });
      expect(await f.users.get(member)).toBeNull();
      expect(await f.users.update(a.adminId, { name: 'Ann' })).toMatchObject({ name: 'Ann' });
      expect(await f.users.update(a.adminId, {})).toMatchObject({ name: 'Ann' });
      expect(await f.users.getByEmail((await f.users.get(a.adminId))!.email.toUpperCase())).toMatchObject({
        id: a.adminId,
      });
    });
    await a.asAdmin(async () => {
      expect(await f.users.get(member)).toMatchObject({ id: member });
      expect(await f.users.get(b.adminId)).toBeNull();
      expect(await f.users.get('x')).toBeNull();
      await expect(f.users.update(member, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.users.delete(member)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      expect(await f.users.update(b.adminId, { name: 'x' })).toBeNull();
      expect(await f.users.update('x', { name: 'x' })).toBeNull();
      expect(await f.users.delete('x')).toBeNull();
    });
    await withSystem('test', async () => expect(await f.users.get(a.adminId)).toBeNull());
  });

  it('take their personal organization along, but never leave one without an administrator', async () => {
    const a = await newOrganization(f);
    await expect(withUser({ userId: a.adminId }, () => f.users.delete(a.adminId))).rejects.toMatchObject({
      code: 'TNT_LAST_ADMIN',
    });
    const userId = await a.member();
    const personal = await withUser({ userId }, () =>
      f.organizations.create({ name: 'P', slug: unique('p'), kind: 'personal' }),
    );
    expect(await withUser({ userId }, () => f.users.delete(userId))).toMatchObject({ id: userId });
    expect(await f.db.query('select 1 from tenantry.organizations where id = $1', [personal.id])).toEqual([]);
    expect(await a.asAdmin(() => f.members.get(userId))).toBeNull();
  });
});

describe('D9, A1: members', () => {
  it('are added, read, listed in pages, changed and removed', async () => {
    const a = await newOrganization(f);
    const userId = await newUser(f);
    await a.asAdmin(async () => {
      const made = await f.members.create({ userId, name: 'Bob' });
      expect(memberSchema.parse(made)).toMatchObject({
        userId,
        role: 'member',
        name: 'Bob',
        gmailConnected: false,
        roleId: null,
      });
      expect(await f.members.get(userId)).toEqual(made);
      await expect(f.members.create({ userId })).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      await expect(f.members.create({ userId: randomUUID() })).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
      expect(await f.members.update(userId, { gmailConnected: true, role: 'admin' })).toMatchObject({
        gmailConnected: true,
        role: 'admin',
      });
      expect(await f.members.update(userId, {})).toMatchObject({ role: 'admin' });
      const first = await f.members.list({ limit: 1 });
      const second = await f.members.list({ limit: 1, cursor: first.nextCursor! });
      expect([...first.items, ...second.items].map((m) => m.userId)).toEqual([a.adminId, userId]);
      expect(second.nextCursor).toBeNull();
      expect(await f.members.delete(userId)).toMatchObject({ userId });
      for (const id of [userId, randomUUID(), 'x']) {
        expect(await f.members.get(id)).toBeNull();
        expect(await f.members.update(id, { name: 'x' })).toBeNull();
        expect(await f.members.delete(id)).toBeNull();
      }
    });
  });

  it('cannot raise themselves, invite, add or remove others; they may rename themselves and leave', async () => {
    const a = await newOrganization(f);
    const [userId, other] = [await a.member(), await a.member()];
    const stranger = await newUser(f);
    await a.as(userId, async () => {
      const forbidden = { code: 'TNT_FORBIDDEN' };
      await expect(f.members.update(userId, { role: 'admin' })).rejects.toMatchObject(forbidden);
      await expect(f.members.update(other, { name: 'x' })).rejects.toMatchObject(forbidden);
      await expect(f.members.create({ userId: stranger })).rejects.toMatchObject(forbidden);
      await expect(f.members.delete(other)).rejects.toMatchObject(forbidden);
      await expect(f.invitations.create({ email: 'x@example.com' })).rejects.toMatchObject(forbidden);
      expect(await f.members.update(userId, { name: 'Me' })).toMatchObject({ name: 'Me' });
      expect(await f.members.delete(userId)).toMatchObject({ userId });
      expect(await f.principals.mine()).toEqual([]);
    });
    await withTenant({ tenantId: a.tenantId }, () =>
      expect(f.members.create({ userId: stranger })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' }),
    );
  });

  it('keep one administrator, also when two demote each other at once', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await expect(f.members.update(a.adminId, { role: 'member' })).rejects.toMatchObject({ code: 'TNT_LAST_ADMIN' });
      await expect(f.members.delete(a.adminId)).rejects.toMatchObject({ code: 'TNT_LAST_ADMIN' });
    });
    const second = await a.member('admin');
    const results = await Promise.allSettled([
      a.as(second, () => f.members.update(a.adminId, { role: 'member' })),
      a.asAdmin(() => f.members.update(second, { role: 'member' })),
    ]);
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    const admins = await f.db.query(`select 1 from tenantry.org_members where tenant_id = $1 and role = 'admin'`, [
      a.tenantId,
    ]);
    expect(admins).toHaveLength(1);
  });

  it('of another organization cannot be listed, read or changed', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    await a.asAdmin(async () => {
      expect(await f.members.get(b.adminId)).toBeNull();
      expect(await f.kernel.query('select * from tenantry.org_members where tenant_id = $1', [b.tenantId])).toEqual([]);
      expect(
        await f.kernel.query('delete from tenantry.org_members where tenant_id = $1 returning 1', [b.tenantId]),
      ).toEqual([]);
      await expect(
        f.kernel.query('insert into tenantry.team_members (tenant_id, team_id, user_id) values ($1, $2, $3)', [
          b.tenantId,
          randomUUID(),
          a.adminId,
        ]),
      ).rejects.toMatchObject({ code: '42501' });
    });
    // without a tenant: one's own memberships, not those beside them
    await withUser({ userId: a.adminId }, async () => {
      const rows = await f.kernel.query('select user_id from tenantry.org_members');
      expect(rows).toEqual([{ user_id: a.adminId }]);
    });
    await withSystem('test', async () =>
      expect(await f.kernel.query('select 1 from tenantry.org_members')).toEqual([]),
    );
  });

  it('turn a claimed tenant into a context only when verified', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    expect(await f.members.verify({ tenantId: a.tenantId, userId: a.adminId })).toEqual({
      tenantId: a.tenantId,
      userId: a.adminId,
    });
    for (const claim of [
      { tenantId: b.tenantId, userId: a.adminId },
      { tenantId: randomUUID(), userId: a.adminId },
      { tenantId: 'x', userId: a.adminId },
      { tenantId: a.tenantId, userId: 'x' },
    ]) {
      await expect(f.members.verify(claim)).rejects.toMatchObject({ code: 'TNT_NOT_A_MEMBER' });
    }
  });

  it("A1: tokens and sync state go with the membership, have their defaults, and are their user's alone", async () => {
    const a = await newOrganization(f);
    const userId = await a.member();
    await a.as(userId, async () => {
      await f.kernel.query(
        `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped) values ($1, 1, 'k1', decode(repeat('00', 61), 'hex'))`,
        [a.tenantId],
      );
      await f.kernel.query(
        `insert into tenantry.oauth_tokens (tenant_id, user_id, access_token, refresh_token, expires_at, scopes)
         values ($1, $2, 'v1.1.' || repeat('A', 40), 'v1.1.' || repeat('B', 40), now(), '{mail}')`,
        [a.tenantId, userId],
      );
      await f.kernel.query('insert into tenantry.sync_state (tenant_id, user_id) values ($1, $2)', [
        a.tenantId,
        userId,
      ]);
      expect(await f.kernel.query('select provider, scopes from tenantry.oauth_tokens')).toEqual([
        { provider: 'google', scopes: ['mail'] },
      ]);
      expect(await f.kernel.query('select sync_status, emails_synced from tenantry.sync_state')).toEqual([
        { sync_status: 'idle', emails_synced: 0 },
      ]);
      await expect(f.kernel.query(`update tenantry.sync_state set sync_status = 'other'`)).rejects.toMatchObject({
        code: '23514',
      });
      await expect(
        f.kernel.query(`insert into tenantry.sync_state (tenant_id, user_id) values ($1, $2)`, [a.tenantId, a.adminId]),
      ).rejects.toMatchObject({ code: '42501' });
    });
    await a.asAdmin(async () => {
      expect(await f.kernel.query('select 1 from tenantry.oauth_tokens')).toEqual([]);
      await f.members.delete(userId);
    });
    expect(
      await f.db.query(
        'select 1 from tenantry.oauth_tokens where tenant_id = $1 union all select 1 from tenantry.sync_state where tenant_id = $1',
        [a.tenantId],
      ),
    ).toEqual([]);
  });
});

describe('D9: invitations', () => {
  it('make the invited address a member, once, with the role', async () => {
    const a = await newOrganization(f);
    const email = `${unique('invited')}@example.com`;
    const { invitation, token } = await a.asAdmin(() => f.invitations.create({ email, role: 'admin' }));
    expect(invitationSchema.parse(invitation)).toMatchObject({ email, status: 'pending', invitedBy: a.adminId });
    expect(
      JSON.stringify(await f.db.query('select * from tenantry.invitations where id = $1', [invitation.id])),
    ).not.toContain(token);

    expect(await withSystem('test', () => f.invitations.byToken(token))).toEqual({
      tenantId: a.tenantId,
      invitationId: invitation.id,
    });
    expect(await withSystem('test', () => f.invitations.byToken('guess'))).toBeNull();
    const userId = await newUser(f, email.toUpperCase());
    await withUser({ userId }, async () => {
      expect((await f.invitations.listMine()).map((i) => i.id)).toEqual([invitation.id]);
      expect(await f.invitations.accept(token)).toEqual({ tenantId: a.tenantId, invitationId: invitation.id });
      expect(await f.invitations.listMine()).toEqual([]);
      await expect(f.invitations.accept(token)).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
    });
    expect(await a.as(userId, () => f.members.get(userId))).toMatchObject({ role: 'admin' });
    await a.asAdmin(async () => {
      expect(await f.invitations.get(invitation.id)).toMatchObject({ status: 'accepted' });
      await expect(f.invitations.revoke(invitation.id)).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
    });
  });

  it('are accepted by one of twenty who try at once', async () => {
    const a = await newOrganization(f);
    const email = `${unique('invited')}@example.com`;
    const { token } = await a.asAdmin(() => f.invitations.create({ email }));
    const userId = await newUser(f, email);
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => withUser({ userId }, () => f.invitations.accept(token))),
    );
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    for (const r of results) if (r.status === 'rejected') expect(r.reason).toMatchObject({ code: 'TNT_CONFLICT' });
  });

  it('of another address, unknown, revoked or expired are refused', async () => {
    const a = await newOrganization(f);
    const email = `${unique('invited')}@example.com`;
    const { invitation, token } = await a.asAdmin(() => f.invitations.create({ email }));
    const [thief, userId] = [await newUser(f), await newUser(f, email)];
    await withUser({ userId: thief }, async () => {
      await expect(f.invitations.accept(token)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.invitations.accept('guess')).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
      expect(await f.kernel.query('select id from tenantry.invitations')).toEqual([]);
    });
    await expect(withSystem('test', () => f.invitations.accept(token))).rejects.toMatchObject({
      code: 'TNT_CONTEXT_MISSING',
    });
    await expect(a.asAdmin(() => f.invitations.create({ email: email.toUpperCase() }))).rejects.toMatchObject({
      code: 'TNT_CONFLICT',
    });
    expect(await a.asAdmin(() => f.invitations.revoke(invitation.id))).toMatchObject({ status: 'revoked' });
    await withUser({ userId }, () =>
      expect(f.invitations.accept(token)).rejects.toMatchObject({ code: 'TNT_CONFLICT' }),
    );

    const late = await a.asAdmin(() => f.invitations.create({ email }));
    await f.db.query(`update tenantry.invitations set expires_at = now() - interval '1 second' where id = $1`, [
      late.invitation.id,
    ]);
    await withUser({ userId }, () =>
      expect(f.invitations.accept(late.token)).rejects.toMatchObject({ code: 'TNT_CONFLICT' }),
    );
    const again = await a.asAdmin(() => f.invitations.create({ email }));
    expect((await a.asAdmin(() => f.invitations.list())).items.map((i) => i.status)).toEqual([
      'revoked',
      'revoked',
      'pending',
    ]);
    expect(await a.asAdmin(() => f.invitations.get('x'))).toBeNull();
    expect(await a.asAdmin(() => f.invitations.revoke(randomUUID()))).toBeNull();
    expect(await a.asAdmin(() => f.invitations.revoke('x'))).toBeNull();
    const page = await a.asAdmin(() => f.invitations.list({ limit: 2 }));
    expect(
      (await a.asAdmin(() => f.invitations.list({ limit: 2, cursor: page.nextCursor! }))).items.map((i) => i.id),
    ).toEqual([again.invitation.id]);
  });

  it('are not seen by plain members, nor from another organization', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const userId = await a.member();
    const { invitation } = await a.asAdmin(() => f.invitations.create({ email: `${unique('i')}@example.com` }));
    expect(await a.as(userId, () => f.invitations.get(invitation.id))).toBeNull();
    expect(await a.as(userId, () => f.invitations.revoke(invitation.id))).toBeNull();
    expect(await b.asAdmin(() => f.invitations.get(invitation.id))).toBeNull();
    await b.asAdmin(async () => {
      await expect(f.kernel.query('select token_hash from tenantry.invitations')).rejects.toMatchObject({
        code: '42501',
      });
    });
  });
});
