import { describe, expect, it } from 'vitest';
import { withTenant, withUser } from '../../src/context/index.ts';
import { seedTestUser } from '../../src/directory/index.ts';
import { directoryFixture, unique } from './fixture.ts';

const f = directoryFixture();

describe('D6: the seed of a test user', () => {
  it('makes a personal organization and workspace, counts them, and changes nothing when run again', async () => {
    const email = `${unique('seed')}@example.com`;
    const first = await seedTestUser(f.kernel, { email, name: 'Test' });
    expect(first).toMatchObject({
      created: true,
      counts: { personalOrganizations: 1, members: 1, personalWorkspaces: 1 },
    });
    const state = () =>
      f.db.query(
        `select o.id, o.kind, o.slug, o.updated_at, (select count(*)::int from tenantry.workspaces w where w.tenant_id = o.id) workspaces,
           (select count(*)::int from tenantry.principals p where p.tenant_id = o.id) principals from tenantry.organizations o where o.id = $1`,
        [first.tenantId],
      );
    const before = await state();
    expect(before).toMatchObject([{ kind: 'personal', slug: first.userId, workspaces: 1, principals: 4 }]);
    expect(await seedTestUser(f.kernel, { email })).toEqual({ ...first, created: false });
    expect(await state()).toEqual(before);
    expect(await withTenant(first, () => f.workspaces.list())).toMatchObject({
      items: [{ id: first.workspaceId, kind: 'personal' }],
    });
  });

  it('takes a slug, and says what is wrong', async () => {
    const slug = unique('own');
    const seeded = await seedTestUser(f.kernel, { email: `${unique('seed')}@example.com`, slug });
    expect(await withUser({ userId: seeded.userId }, () => f.organizations.getBySlug(slug))).toMatchObject({
      id: seeded.tenantId,
    });
    await expect(seedTestUser(f.kernel, { email: `${unique('seed')}@example.com`, slug })).rejects.toMatchObject({
      code: 'TNT_SLUG_TAKEN',
    });
    await expect(seedTestUser(f.kernel, { email: 'nobody' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    await expect(seedTestUser(f.kernel, { email: 'a@example.com', slug: 'No' })).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
  });

  it('notices a count that is not one', async () => {
    const seeded = await seedTestUser(f.kernel, { email: `${unique('seed')}@example.com` });
    await f.db.query(
      `with u as (insert into tenantry.users (email) values ($2) returning id) insert into tenantry.org_members (tenant_id, user_id) select $1, id from u`,
      [seeded.tenantId, `${unique('extra')}@example.com`],
    );
    const [user] = await f.db.query<{ email: string }>('select email from tenantry.users where id = $1', [
      seeded.userId,
    ]);
    await expect(seedTestUser(f.kernel, { email: user!.email })).rejects.toMatchObject({
      code: 'TNT_INTERNAL',
      message: expect.stringContaining('2 members'),
    });
  });
});
