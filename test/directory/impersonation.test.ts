import { beforeAll, describe, expect, it } from 'vitest';
import { directoryFixture, newOrganization, type TestOrganization } from './fixture.ts';

const f = directoryFixture();
const refused = { code: '42501' };
const adminRole = '00000000-0000-7000-8000-0000000000a1';
let o: TestOrganization;
let manager: string;

beforeAll(async () => {
  o = await newOrganization(f);
  const permissions = ['teams.write', 'roles.write', 'members.write'];
  const role = await o.asAdmin(() => f.roles.create({ name: 'manager', permissions }));
  manager = await o.member('member', role.id);
  await o.asAdmin(() => f.resources.create({ type: 'prompt', name: 'secret', workspaceId: o.workspaceId }));
});

const asManager = (text: string, values: unknown[]) => o.as(manager, () => f.pool.query(text, values));

describe('E6: who may write teams, roles and members speaks with nobody else’s rights', () => {
  it("a team or role does not take the id of another's principal", async () => {
    for (const id of [o.adminId, o.tenantId, adminRole]) {
      await expect(
        asManager(`insert into tenantry.teams (tenant_id, id, name, slug) values ($1, $2, 'x', 'x')`, [o.tenantId, id]),
      ).rejects.toMatchObject(refused);
      await expect(
        asManager(`insert into tenantry.roles (tenant_id, id, name) values ($1, $2, 'x')`, [o.tenantId, id]),
      ).rejects.toMatchObject(refused);
    }
    // and not by the owner of the tables either, who may write the id
    await expect(
      f.db.query(`insert into tenantry.teams (tenant_id, id, name, slug) values ($1, $2, 'x', 'x')`, [
        o.tenantId,
        o.adminId,
      ]),
    ).rejects.toMatchObject({ code: '23505', constraint: 'principals_pkey' });
    const seen = await asManager('select name from tenantry.resources where tenant_id = $1', [o.tenantId]);
    expect(seen.rows).toEqual([]);
  });

  it('a member who comes back is the principal of before', async () => {
    const userId = await o.member();
    await o.asAdmin(() => f.members.delete(userId));
    await o.asAdmin(() => f.members.create({ userId, role: 'member' }));
    const { rows } = await o.asAdmin(() =>
      f.pool.query('select kind, removed_at from tenantry.principals where id = $1', [userId]),
    );
    expect(rows).toEqual([{ kind: 'user', removed_at: null }]);
  });

  it('an invitation that an administrator took back stays taken back', async () => {
    await o.asAdmin(async () => {
      await f.invitations.create({ email: 'friend@example.com', role: 'admin' });
      await f.pool.query('update tenantry.invitations set revoked_at = now() where tenant_id = $1', [o.tenantId]);
    });
    await expect(
      asManager('update tenantry.invitations set revoked_at = null where tenant_id = $1', [o.tenantId]),
    ).rejects.toMatchObject(refused);
  });
});
