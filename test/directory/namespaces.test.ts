import { describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createEndUsers, createNamespaces } from '../../src/directory/index.ts';
import { directoryFixture, newOrganization, unique } from './fixture.ts';

const f = directoryFixture();
const namespaces = () => createNamespaces(f.kernel);

describe('B3: namespaces', () => {
  it('carry environment, active flag and limits of their own', async () => {
    const a = await newOrganization(f);
    const made = await a.asAdmin(() =>
      namespaces().create({
        name: 'production',
        environment: 'production',
        limits: { memories_per_month: 10_000, api_calls_per_day: null, conversations: { limit: 5, hard: false } },
      }),
    );
    expect(made).toMatchObject({
      tenantId: a.tenantId,
      environment: 'production',
      active: true,
      restricted: false,
      limits: { memories_per_month: 10_000, api_calls_per_day: null, conversations: { limit: 5, hard: false } },
    });
    await a.asAdmin(async () => {
      expect(await namespaces().get(made.id)).toEqual(made);
      expect(await namespaces().getByName('production')).toEqual(made);
      const changed = await namespaces().update(made.id, { active: false, limits: {} });
      expect(changed).toMatchObject({ active: false, limits: {} });
      expect((await namespaces().list({ active: true })).items).toEqual([]);
      expect((await namespaces().list({ environment: 'production' })).items).toHaveLength(1);
    });
  });

  it.each([
    ['an environment that there is not', { name: 'x', environment: 'qa' }],
    ['a negative limit', { name: 'x', limits: { memories: -1 } }],
    ['a limit that is no number', { name: 'x', limits: { memories: '5' } }],
    ['a metric with a space', { name: 'x', limits: { 'a b': 5 } }],
    ['no name', { name: ' ' }],
  ])('refuse %s, naming the field', async (_, input) => {
    const a = await newOrganization(f);
    await expect(a.asAdmin(() => namespaces().create(input as never))).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
  });

  it('the database holds the rules of limits too, whoever writes', async () => {
    const a = await newOrganization(f);
    for (const limits of [
      '[]',
      '{"x": -1}',
      '{"x": "1"}',
      '{"x": {"limit": 1, "other": 2}}',
      '{"x": {"hard": true}}',
    ]) {
      await expect(
        f.db.query(`insert into tenantry.namespaces (tenant_id, name, limits) values ($1, $2, $3)`, [
          a.tenantId,
          unique('n'),
          limits,
        ]),
      ).rejects.toMatchObject({ code: '23514' });
    }
  });

  it('are unique by name in an organization, and free in another', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    await a.asAdmin(() => namespaces().create({ name: 'main' }));
    await b.asAdmin(() => namespaces().create({ name: 'main' }));
    await expect(a.asAdmin(() => namespaces().create({ name: 'main' }))).rejects.toMatchObject({
      code: 'TNT_CONFLICT',
    });
  });

  it('are invisible and untouchable to another organization, by id, name, list and settings', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const made = await a.asAdmin(() => namespaces().create({ name: unique('secret') }));
    await b.asAdmin(async () => {
      expect(await namespaces().get(made.id)).toBeNull();
      expect(await namespaces().getByName(made.name)).toBeNull();
      expect(await namespaces().update(made.id, { active: false })).toBeNull();
      expect(await namespaces().delete(made.id)).toBeNull();
      expect((await namespaces().list()).items).toEqual([]);
      await expect(namespaces().updateSettings({ defaultNamespaceId: made.id })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(namespaces().updateSettings({ allowedNamespaceIds: [made.id] })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(namespaces().setAcl({}, made.id)).rejects.toMatchObject({ code: 'TNT_NOT_FOUND' });
    });
    // the owner of the tables is bound by the composite keys too
    await expect(
      f.db.query('update tenantry.organizations set default_namespace_id = $1 where id = $2', [made.id, b.tenantId]),
    ).rejects.toMatchObject({ code: '23503' });
  });

  it('take namespaces.write to change; a member sees them', async () => {
    const a = await newOrganization(f);
    const made = await a.asAdmin(() => namespaces().create({ name: 'main' }));
    const member = await a.member();
    await a.as(member, async () => {
      expect(await namespaces().get(made.id)).not.toBeNull();
      await expect(namespaces().create({ name: 'other' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(namespaces().update(made.id, { name: 'x' })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(namespaces().delete(made.id)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      await expect(namespaces().setAcl({}, made.id)).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    });
  });

  it('page through a long list', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      for (const name of ['a', 'b', 'c']) await namespaces().create({ name });
      const first = await namespaces().list({ limit: 2 });
      const second = await namespaces().list({ limit: 2, cursor: first.nextCursor! });
      expect([...first.items, ...second.items].map(({ name }) => name)).toEqual(['a', 'b', 'c']);
      expect(second.nextCursor).toBeNull();
    });
  });
});

describe('B2: default and allowed namespaces', () => {
  it('the first is the default until another is chosen; the default cannot be deleted', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      expect(await namespaces().settings()).toEqual({ defaultNamespaceId: null, allowedNamespaceIds: 'all' });
      const first = await namespaces().create({ name: 'first' });
      const second = await namespaces().create({ name: 'second' });
      expect(await namespaces().settings()).toMatchObject({ defaultNamespaceId: first.id });
      await expect(namespaces().delete(first.id)).rejects.toMatchObject({ code: 'TNT_CONFLICT' });
      expect(await namespaces().updateSettings({ defaultNamespaceId: second.id })).toMatchObject({
        defaultNamespaceId: second.id,
      });
      expect(await namespaces().delete(first.id)).toMatchObject({ id: first.id });
    });
  });

  it('an organization that allows those listed takes nothing new in others', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      const [one, two] = [await namespaces().create({ name: 'one' }), await namespaces().create({ name: 'two' })];
      const settings = await namespaces().updateSettings({ allowedNamespaceIds: [one.id] });
      expect(settings.allowedNamespaceIds).toEqual([one.id]);
      const endUsers = createEndUsers(f.kernel);
      await endUsers.ensure({ externalId: 'e', namespaceId: one.id });
      await expect(endUsers.ensure({ externalId: 'e', namespaceId: two.id })).rejects.toMatchObject({
        code: 'TNT_NAMESPACE_INACTIVE',
      });
      await namespaces().updateSettings({ allowedNamespaceIds: 'all' });
      await endUsers.ensure({ externalId: 'e', namespaceId: two.id });
    });
  });

  it('a member without organization.update cannot change them', async () => {
    const a = await newOrganization(f);
    const member = await a.member();
    await expect(a.as(member, () => namespaces().updateSettings({ allowedNamespaceIds: 'all' }))).rejects.toMatchObject(
      { code: 'TNT_FORBIDDEN' },
    );
  });

  it('go with their organization', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      const made = await namespaces().create({ name: 'main' });
      await createEndUsers(f.kernel).ensure({ externalId: 'e' });
      await namespaces().setAcl({ [a.adminId]: { read: true } }, made.id);
      await f.organizations.delete(a.tenantId);
    });
    expect(await f.db.query('select 1 from tenantry.end_users where tenant_id = $1', [a.tenantId])).toEqual([]);
  });
});

describe('B2: ACL maps (principal → read, write)', () => {
  it('a namespace with one is seen and changed by those alone whom it names', async () => {
    const a = await newOrganization(f);
    const [reader, writer, stranger] = [await a.member(), await a.member(), await a.member()];
    const made = await a.asAdmin(async () => {
      const namespace = await namespaces().create({ name: 'production' });
      await createEndUsers(f.kernel).ensure({ externalId: 'e' });
      expect(await namespaces().acl(namespace.id)).toBeNull();
      await namespaces().setAcl({ [reader]: {}, [writer]: { read: true, write: true } }, namespace.id);
      return namespace;
    });
    await a.as(reader, async () => {
      expect(await namespaces().get(made.id)).toMatchObject({ restricted: true });
      expect(await namespaces().acl(made.id)).toEqual({
        [reader]: { read: true, write: false },
        [writer]: { read: true, write: true },
      });
      await expect(namespaces().update(made.id, { active: false })).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    });
    await a.as(writer, async () => {
      expect(await namespaces().update(made.id, { limits: { memories: 1 } })).toMatchObject({
        limits: { memories: 1 },
      });
    });
    await a.as(stranger, async () => {
      expect(await namespaces().get(made.id)).toBeNull();
      expect((await namespaces().list()).items).toEqual([]);
      expect((await createEndUsers(f.kernel).list()).items).toEqual([]);
      expect(await namespaces().acl(made.id)).toBeNull();
    });
    // an entry may name the organization itself: then all of it reads
    await a.asAdmin(() => namespaces().setAcl({ [a.tenantId]: { read: true } }, made.id));
    expect(await a.as(stranger, () => namespaces().get(made.id))).not.toBeNull();
    expect(await withTenant({ tenantId: a.tenantId }, () => namespaces().get(made.id))).not.toBeNull();
    // an empty map is for administrators alone, null for everybody
    await a.asAdmin(() => namespaces().setAcl({}, made.id));
    expect(await a.as(reader, () => namespaces().get(made.id))).toBeNull();
    await a.asAdmin(() => namespaces().setAcl(null, made.id));
    expect(await a.as(stranger, () => namespaces().get(made.id))).toMatchObject({ restricted: false });
  });

  it('of the organization: who writes in it without being an administrator', async () => {
    const a = await newOrganization(f);
    const member = await a.member();
    const rename = () => a.as(member, () => f.organizations.update(a.tenantId, { name: 'Renamed' }));
    await expect(rename()).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
    await a.asAdmin(() => namespaces().setAcl({ [member]: { write: true } }));
    expect(await rename()).toMatchObject({ name: 'Renamed' });
    expect(await a.as(member, () => namespaces().acl())).toEqual({ [member]: { read: true, write: true } });
    await expect(a.as(member, () => f.organizations.delete(a.tenantId))).rejects.toMatchObject({
      code: 'TNT_FORBIDDEN',
    });
  });

  it('cannot name a principal of another organization', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const made = await a.asAdmin(() => namespaces().create({ name: 'main' }));
    await expect(a.asAdmin(() => namespaces().setAcl({ [b.adminId]: { read: true } }, made.id))).rejects.toMatchObject({
      code: 'TNT_NOT_FOUND',
    });
    expect(await a.asAdmin(() => namespaces().get(made.id))).toMatchObject({ restricted: false });
  });

  it('a member cannot write entries past the service', async () => {
    const a = await newOrganization(f);
    const member = await a.member();
    await expect(
      a.as(member, () =>
        f.kernel.query(
          'insert into tenantry.directory_acl (tenant_id, principal_id, can_write) values ($1::uuid, $2::uuid, true)',
          [a.tenantId, member],
        ),
      ),
    ).rejects.toMatchObject({ code: '42501' });
  });
});

describe('F4: scoped queries use an index', () => {
  it.each([
    ['a namespace by name', `select * from tenantry.namespaces n where n.tenant_id = $1 and n.name = 'n150'`],
    ['a page of namespaces', `select * from tenantry.namespaces n where n.tenant_id = $1 order by n.id limit 50`],
    [
      'an end user by external id',
      `select * from tenantry.end_users e where e.tenant_id = $1 and e.namespace_id = (select default_namespace_id from tenantry.organizations where id = $1) and e.external_id = 'e77'`,
    ],
    ['a page of end users', `select * from tenantry.end_users e where e.tenant_id = $1 order by e.id limit 50`],
    [
      'an ACL',
      `select * from tenantry.directory_acl a where a.tenant_id = $1 and a.namespace_id = (select default_namespace_id from tenantry.organizations where id = $1)`,
    ],
  ])('%s', async (_, text) => {
    const tenantId = await largeOrganization();
    const rows = await withTenant({ tenantId }, () =>
      f.kernel.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${text}`, [tenantId]),
    );
    const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
    expect(plan).toMatch(/Index/);
    expect(plan).not.toMatch(/Seq Scan on (namespaces|end_users|directory_acl)/);
  });
});

let large: Promise<string> | undefined;
/** Two hundred namespaces and a hundred end users, among forty other organizations. */
function largeOrganization(): Promise<string> {
  return (large ??= (async () => {
    const a = await newOrganization(f);
    await f.db.query(
      `insert into tenantry.organizations (name, slug) select 'o', 'plan-' || i from generate_series(1, 40) i`,
    );
    await f.db.query(
      `insert into tenantry.namespaces (tenant_id, name) select $1::uuid, 'n' || i from generate_series(1, 200) i
       union all select o.id, 'n' || i from tenantry.organizations o cross join generate_series(1, 100) i where o.slug like 'plan-%'`,
      [a.tenantId],
    );
    await f.db.query(
      `insert into tenantry.end_users (tenant_id, namespace_id, external_id)
       select o.id, o.default_namespace_id, 'e' || i from tenantry.organizations o cross join generate_series(1, 100) i
       where o.default_namespace_id is not null`,
    );
    await f.db.query(
      `insert into tenantry.directory_acl (tenant_id, namespace_id, principal_id)
       select n.tenant_id, n.id, n.tenant_id from tenantry.namespaces n`,
    );
    await f.db.query('analyze');
    return a.tenantId;
  })());
}
