import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import { organizationSchema } from '../../src/directory/index.ts';
import { directoryFixture, newOrganization, newUser, unique } from './fixture.ts';

const f = directoryFixture();

describe('D9, A3: organizations', () => {
  it('are made whole by a user without an organization: admin, principals, workspace', async () => {
    const userId = await newUser(f);
    const slug = unique('whole');
    const made = await withUser({ userId }, () =>
      f.organizations.create({ name: ' Whole ', slug, settings: { theme: 'dark' }, dataRegion: 'eu' }),
    );
    expect(organizationSchema.parse(made)).toMatchObject({
      name: 'Whole',
      slug,
      kind: 'standard',
      key: made.id,
      dataRegion: 'eu',
    });
    expect(made.number).toBeGreaterThan(0);
    expect(made.id[14]).toBe('7');
    const counts = await f.db.query(
      `select (select json_agg(json_build_array(user_id, role)) from tenantry.org_members where tenant_id = $1) members,
         (select json_agg(kind order by kind) from tenantry.principals where tenant_id = $1) principals,
         (select json_agg(kind) from tenantry.workspaces where tenant_id = $1) workspaces`,
      [made.id],
    );
    expect(counts[0]).toEqual({
      members: [[userId, 'admin']],
      principals: ['organization', 'role', 'role', 'user'],
      workspaces: ['organization'],
    });
  });

  it('create, get, get by slug, list, update, delete; a missing row is null', async () => {
    const userId = await newUser(f);
    await withUser({ userId }, async () => {
      const a = await f.organizations.create({ name: 'A', slug: unique('a') });
      const b = await f.organizations.create({ name: 'B', slug: unique('b') });
      expect(await f.organizations.get(a.id)).toEqual(a);
      expect(await f.organizations.getBySlug(b.slug)).toEqual(b);
      const first = await f.organizations.list({ limit: 1 });
      const second = await f.organizations.list({ limit: 1, cursor: first.nextCursor! });
      expect([first.items, second.items, second.nextCursor]).toEqual([[a], [b], null]);

      const changed = await f.organizations.update(a.id, { name: 'A2', settings: { n: 1 }, description: 'd' });
      expect(changed).toMatchObject({ name: 'A2', settings: { n: 1 }, description: 'd', slug: a.slug });
      expect(changed!.updatedAt.getTime()).toBeGreaterThan(a.updatedAt.getTime());
      expect(await f.organizations.update(a.id, {})).toEqual(changed);
      expect(await f.organizations.delete(a.id)).toMatchObject({ id: a.id });

      for (const id of [a.id, randomUUID(), 'not an id', '']) {
        expect(await f.organizations.get(id)).toBeNull();
        expect(await f.organizations.update(id, { name: 'x' })).toBeNull();
        expect(await f.organizations.delete(id)).toBeNull();
      }
      expect(await f.organizations.getBySlug("'; drop table users; --")).toBeNull();
    });
  });

  it('refuse names, slugs and fields that are not valid, and name the field', async () => {
    const userId = await newUser(f);
    const create = (input: object) =>
      withUser({ userId }, () => f.organizations.create({ name: 'N', slug: 'slug', ...input }));
    const refused = async (input: object, field: string) =>
      expect(create(input)).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
        message: expect.stringContaining(field),
      });
    await refused({ name: '' }, 'name');
    await refused({ name: 'x'.repeat(256) }, 'name');
    await refused({ slug: 'Up' }, 'slug');
    await refused({ slug: '' }, 'slug');
    await refused({ slug: 'a_b' }, 'slug');
    await refused({ slug: 'a\n' }, 'slug');
    await refused({ slug: 'x'.repeat(64) }, 'slug');
    await refused({ unknown: 1 }, 'input');
    await refused({ settings: [] }, 'settings');
    const made = await create({ name: 'x'.repeat(255), slug: unique('x').padEnd(63, 'x') });
    expect(made.slug).toHaveLength(63);
    await expect(
      f.db.query(`insert into tenantry.organizations (name, slug) values ('x', 'Bad Slug')`),
    ).rejects.toMatchObject({
      constraint: 'organizations_slug_check',
    });
  });

  it('have one owner of a slug when twenty ask for it at once', async () => {
    const userId = await newUser(f);
    const slug = unique('race');
    const results = await Promise.allSettled(
      Array.from({ length: 20 }, () => withUser({ userId }, () => f.organizations.create({ name: 'R', slug }))),
    );
    expect(results.filter((r) => r.status === 'fulfilled')).toHaveLength(1);
    for (const r of results) if (r.status === 'rejected') expect(r.reason).toMatchObject({ code: 'TNT_SLUG_TAKEN' });
    const [row] = await f.db.query<{ n: number }>(
      'select count(*)::int n from tenantry.org_members where user_id = $1',
      [userId],
    );
    expect(row!.n).toBe(1);
  });

  it('are invisible and unchangeable from another one, and for strangers', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    await a.asAdmin(async () => {
      expect(await f.organizations.get(b.tenantId)).toBeNull();
      expect(await f.organizations.update(b.tenantId, { name: 'mine' })).toBeNull();
      expect(await f.organizations.delete(b.tenantId)).toBeNull();
      expect((await f.organizations.list()).items.map((o) => o.id)).toEqual([a.tenantId]);
    });
    await withUser({ userId: a.adminId }, async () => {
      expect(await f.organizations.get(b.tenantId)).toBeNull();
      expect(await f.organizations.update(b.tenantId, { name: 'mine' })).toBeNull();
    });
    await withSystem('test', async () => expect((await f.organizations.list()).items).toEqual([]));
    await expect(
      withSystem('test', () => f.organizations.create({ name: 'x', slug: unique('s') })),
    ).rejects.toMatchObject({
      code: 'TNT_CONTEXT_MISSING',
    });
  });

  it('are changed by administrators alone', async () => {
    const a = await newOrganization(f);
    const userId = await a.member();
    await a.as(userId, async () => {
      await expect(f.organizations.update(a.tenantId, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(f.organizations.delete(a.tenantId)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    });
    await withTenant({ tenantId: a.tenantId }, () =>
      expect(f.organizations.update(a.tenantId, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' }),
    );
    const b = await newOrganization(f);
    await expect(
      a.asAdmin(async () =>
        f.organizations.update(a.tenantId, {
          slug: (
            await f.db.query<{ slug: string }>('select slug from tenantry.organizations where id = $1', [b.tenantId])
          )[0]!.slug,
        }),
      ),
    ).rejects.toMatchObject({ code: 'TNT_SLUG_TAKEN' });
  });

  it('cannot be forged by raw SQL: neither creator, nor key, nor domain, nor another tenant', async () => {
    const a = await newOrganization(f);
    const b = await newOrganization(f);
    const other = await newUser(f);
    const refused = { code: '42501' };
    await withUser({ userId: a.adminId }, async () => {
      await expect(
        f.kernel.query(`insert into tenantry.organizations (name, slug, created_by) values ('x', $1, $2)`, [
          unique('f'),
          other,
        ]),
      ).rejects.toMatchObject(refused);
      await expect(
        f.kernel.query(`insert into tenantry.organizations (name, slug, key, created_by) values ('x', $1, '42', $2)`, [
          unique('f'),
          a.adminId,
        ]),
      ).rejects.toMatchObject(refused);
      await expect(
        f.kernel.query(`insert into tenantry.org_members (tenant_id, user_id, role) values ($1, $2, 'admin')`, [
          b.tenantId,
          a.adminId,
        ]),
      ).rejects.toMatchObject(refused);
    });
    await a.asAdmin(async () => {
      await expect(f.kernel.query(`update tenantry.organizations set key = '42'`)).rejects.toMatchObject(refused);
      await expect(f.kernel.query(`update tenantry.organizations set domain = 'b.example'`)).rejects.toMatchObject(
        refused,
      );
      await expect(
        f.kernel.query(`insert into tenantry.org_members (tenant_id, user_id) values ($1, $2)`, [b.tenantId, other]),
      ).rejects.toMatchObject(refused);
      for (const table of [
        'organizations',
        'org_members',
        'workspaces',
        'principals',
        'teams',
        'invitations',
        'roles',
      ]) {
        const column = table === 'organizations' ? 'id' : 'tenant_id';
        const rows = await f.kernel.query(`select count(*)::int n from tenantry.${table} where ${column} = $1`, [
          b.tenantId,
        ]);
        expect(rows, table).toEqual([{ n: 0 }]);
      }
    });
  });

  it('are found before any context by slug, key and domain: ids, never rows', async () => {
    const a = await newOrganization(f);
    const [row] = await f.db.query<{ slug: string }>(
      `update tenantry.organizations set key = $2, domain = $3 where id = $1 returning slug`,
      [a.tenantId, unique('key'), `${unique('d')}.example`],
    );
    const [set] = await f.db.query<{ key: string; domain: string }>(
      'select key, domain from tenantry.organizations where id = $1',
      [a.tenantId],
    );
    await withSystem('test', async () => {
      expect(await f.organizations.idBySlug(row!.slug)).toBe(a.tenantId);
      expect(await f.organizations.idByKey(set!.key)).toBe(a.tenantId);
      expect(await f.organizations.idByDomain(set!.domain.toUpperCase())).toBe(a.tenantId);
      expect(await f.organizations.idBySlug('nobody-has-this')).toBeNull();
    });
    const [grants] = await f.db.query(
      `select bool_or(has_function_privilege('public', p.oid, 'execute')) public, bool_and(p.proconfig @> array['search_path=pg_catalog, pg_temp']) pinned
       from pg_proc p where p.pronamespace = 'tenantry'::regnamespace and p.prosecdef`,
    );
    expect(grants).toEqual({ public: false, pinned: true });
  });

  it('E1, A1: the views show numbers, members and addresses, one tenant at a time', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const userId = await a.member();
    const columns = await f.db.query<{ view: string; columns: string[] }>(
      `select table_name view, array_agg(column_name::text order by ordinal_position) columns from information_schema.columns
       where table_schema = 'tenantry' and table_name in ('org_users', 'tenants', 'user_tenants') group by 1 order by 1`,
    );
    expect(columns).toEqual([
      {
        view: 'org_users',
        columns: ['id', 'org_id', 'email', 'name', 'role', 'gmail_connected', 'created_at', 'updated_at'],
      },
      { view: 'tenants', columns: ['id', 'uuid', 'name', 'description', 'created_at', 'updated_at'] },
      { view: 'user_tenants', columns: ['user_id', 'tenant_id', 'role', 'created_at', 'updated_at'] },
    ]);
    await a.asAdmin(async () => {
      const members = await f.kernel.query<{ id: string; org_id: string }>(
        'select * from tenantry.org_users order by id',
      );
      expect(members.map((m) => m.id)).toEqual([a.adminId, userId].sort());
      expect(new Set(members.map((m) => m.org_id))).toEqual(new Set([a.tenantId]));
      const tenants = await f.kernel.query<{ id: string; uuid: string }>('select * from tenantry.tenants');
      expect(tenants.map((t) => t.uuid)).toEqual([a.tenantId]);
      const links = await f.kernel.query<{ tenant_id: string }>('select * from tenantry.user_tenants');
      expect(links.map((l) => l.tenant_id)).toEqual([tenants[0]!.id, tenants[0]!.id]);
    });
    await withUser({ userId: a.adminId }, async () =>
      expect(await f.kernel.query('select * from tenantry.org_users where org_id = $1', [b.tenantId])).toEqual([]),
    );
  });

  it('A1: deleting one removes its members, tokens, sync state, and everything else', async () => {
    const a = await newOrganization(f);
    const b = await newOrganization(f);
    for (const o of [a, b]) {
      await o.asAdmin(async () => {
        const team = await f.teams.create({ name: 'T', slug: 't' });
        await f.teams.addMember(team.id, o.adminId);
        await f.workspaces.create({ kind: 'team', name: 'W', teamId: team.id });
        const role = await f.roles.create({ name: 'editor', permissions: ['teams.write'] });
        const userId = await o.member('member', role.id);
        await f.invitations.create({ email: `${unique('i')}@example.com`, roleId: role.id });
        const prompt = await f.prompts.create({ name: 'p', workspaceId: o.workspaceId, body: 'b' });
        await f.grants.attach({ resourceId: prompt.id, principalId: team.id });
        await f.grants.attach({ resourceId: prompt.id, principalId: userId, access: 'write' });
        await f.catalog.set({ type: 'model', key: 'k', principalId: o.tenantId });
        await f.audit.record({ action: 'test' });
        await f.kernel.query(
          `insert into tenantry.data_keys (tenant_id, version, key_id, wrapped) values ($1, 1, 'k1', decode(repeat('00', 61), 'hex'))`,
          [o.tenantId],
        );
        await f.kernel.query(
          `insert into tenantry.oauth_tokens (tenant_id, user_id, access_token, refresh_token, expires_at)
           values ($1, $2, 'v1.1.' || repeat('A', 40), 'v1.1.' || repeat('B', 40), now())`,
          [o.tenantId, o.adminId],
        );
        await f.kernel.query('insert into tenantry.sync_state (tenant_id, user_id) values ($1, $2)', [
          o.tenantId,
          o.adminId,
        ]);
      });
    }
    const tables = await f.db.query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c join pg_attribute x on x.attrelid = c.oid and x.attname = 'tenant_id' and not x.attisdropped
       where c.relnamespace = 'tenantry'::regnamespace and c.relkind in ('r', 'p') and c.relname not in ('shadow_misses') order by 1`,
    );
    const count = async (tenantId: string) => {
      const counts: Record<string, number> = {};
      for (const { name } of tables) {
        const [row] = await f.db.query<{ n: number }>(
          `select count(*)::int n from ${name} where tenant_id::text = $1`,
          [tenantId],
        );
        counts[name] = row!.n;
      }
      return counts;
    };
    const before = await count(b.tenantId);
    for (const name of [
      'org_members',
      'oauth_tokens',
      'sync_state',
      'resources',
      'resource_visible',
      'resource_acl',
      'audit_log',
    ]) {
      expect(before[`tenantry.${name}`], name).toBeGreaterThan(0);
    }
    expect(await a.asAdmin(() => f.organizations.delete(a.tenantId))).toMatchObject({ id: a.tenantId });
    expect(new Set(Object.values(await count(a.tenantId)))).toEqual(new Set([0]));
    expect(await count(b.tenantId)).toEqual(before);
  });
});
