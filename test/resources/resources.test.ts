import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { withTenant, withUser } from '../../src/context/index.ts';
import { createKernel } from '../../src/database/kernel.ts';
import { systemRoles } from '../../src/directory/index.ts';
import {
  builtInResourceTypes,
  grantSchema,
  listResourceTypes,
  promptSchema,
  registerResourceType,
  resourceSchema,
  visibilities,
} from '../../src/resources/index.ts';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const forbidden = { code: 'TNT_FORBIDDEN' };

async function withTeam(o: TestOrganization) {
  const [inTeam, outside] = [await o.member(), await o.member()];
  const team = await o.asAdmin(async () => {
    const made = await f.teams.create({ name: 'T', slug: 't' });
    await f.teams.addMember(made.id, inTeam);
    return made;
  });
  const workspace = await o.asAdmin(() => f.workspaces.create({ kind: 'team', name: 'W', teamId: team.id }));
  return { inTeam, outside, team, workspace };
}

describe('D2: the envelope and its types', () => {
  it('types and visibilities are the same in database and code', async () => {
    const types = await listResourceTypes(createKernel(f.db.admin));
    expect(types.filter((t) => t.builtIn).map((t) => t.name)).toEqual([...builtInResourceTypes].sort());
    const [check] = await f.db.query<{ values: string[] }>(
      `select array(select m[1] from regexp_matches(pg_get_constraintdef(oid), '''([a-z]+)''', 'g') m) as values
       from pg_constraint where conname = 'resources_visibility_check'`,
    );
    expect(check!.values).toEqual([...visibilities]);
  });

  it('an unregistered type is refused by the database; a registered one of the adopter works', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await expect(
        f.resources.create({ type: 'dashboard', name: 'x', workspaceId: a.workspaceId }),
      ).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
        message: expect.stringContaining('resources_type_check'),
      });
      await expect(registerResourceType(f.kernel, { name: 'dashboard', description: 'd' })).rejects.toMatchObject(
        forbidden,
      );
    });
    const admin = createKernel(f.db.admin);
    await registerResourceType(admin, { name: 'dashboard', description: 'Charts' });
    await registerResourceType(admin, { name: 'dashboard', description: 'A page of charts' });
    await registerResourceType(admin, { name: 'prompt', description: 'ours stays' });
    expect((await listResourceTypes(admin)).filter((t) => ['dashboard', 'prompt'].includes(t.name))).toEqual([
      { name: 'prompt', description: 'Instructions for a model', builtIn: true },
      { name: 'dashboard', description: 'A page of charts', builtIn: false },
    ]);
    await a.asAdmin(() => f.resources.create({ type: 'dashboard', name: 'x', workspaceId: a.workspaceId }));
    await expect(registerResourceType(admin, { name: 'Not Valid', description: 'd' })).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
    });
  });

  it('has the indexes (tenant, workspace, updated_at), (tenant, type), (tenant, visibility); every foreign key of the schema has one (C11)', async () => {
    const defs = (
      await f.db.query<{ d: string }>(
        `select indexdef d from pg_indexes where schemaname = 'tenantry' and tablename = 'resources'`,
      )
    ).map((r) => r.d);
    for (const columns of ['tenant_id, workspace_id, updated_at', 'tenant_id, type', 'tenant_id, visibility']) {
      expect(
        defs.some((d) => d.includes(`(${columns}`)),
        columns,
      ).toBe(true);
    }
    const missing = await f.db.query(
      `select c.conrelid::regclass::text as "table", c.conname from pg_constraint c
       where c.contype = 'f' and c.connamespace = 'tenantry'::regnamespace and not exists (
         select 1 from pg_index i where i.indrelid = c.conrelid
           and (select array_agg(k) from unnest(string_to_array(i.indkey::text, ' ')::int2[]) with ordinality u(k, n) where n <= cardinality(c.conkey)) @> c.conkey)`,
    );
    expect(
      missing.filter((m) =>
        /resource|prompt|catalog|org|team|user|role|principal|workspace|invitation|token|sync|audit/.test(
          String(m['table']),
        ),
      ),
    ).toEqual([]);
  });

  it('is created, read, changed and deleted; a missing row is null', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      const made = await f.resources.create({
        type: 'tag',
        name: 'One',
        workspaceId: a.workspaceId,
        data: { color: 'red' },
      });
      expect(resourceSchema.parse(made)).toMatchObject({
        type: 'tag',
        name: 'One',
        ownerPrincipalId: a.adminId,
        visibility: 'private',
        data: { color: 'red' },
      });
      expect(await f.resources.get(made.id)).toEqual(made);
      const changed = await f.resources.update(made.id, { name: 'Two', visibility: 'org' });
      expect(changed).toMatchObject({ name: 'Two', visibility: 'org', data: { color: 'red' } });
      expect(changed!.updatedAt > made.updatedAt).toBe(true);
      expect(await f.resources.update(made.id, {})).toEqual(changed);
      expect(await f.resources.update(made.id, { name: 'Two' })).toEqual(changed);
      expect(await f.resources.delete(made.id)).toEqual(changed);
      for (const id of [made.id, randomUUID(), 'x']) {
        expect([
          await f.resources.get(id),
          await f.resources.update(id, { name: 'x' }),
          await f.resources.delete(id),
        ]).toEqual([null, null, null]);
      }
      expect(await f.db.query('select 1 from tenantry.resource_visible where tenant_id = $1', [a.tenantId])).toEqual(
        [],
      );
    });
  });
});

describe('D3, D9: who may read, write and share', () => {
  it('each visibility reaches its audience and nobody else', async () => {
    const a = await newOrganization(f);
    const { inTeam, outside, team, workspace } = await withTeam(a);
    const owner = await a.member();
    await a.asAdmin(() => f.teams.addMember(team.id, owner));
    const make = (visibility: (typeof visibilities)[number], workspaceId: string) =>
      a.as(owner, () => f.resources.create({ type: 'tag', name: visibility, workspaceId, visibility }));
    const readers = async (id: string) => {
      const who: string[] = [];
      for (const [name, userId] of Object.entries({ owner, inTeam, outside, admin: a.adminId })) {
        if ((await a.as(userId, () => f.resources.get(id))) !== null) who.push(name);
      }
      return who;
    };
    expect(await readers((await make('private', workspace.id)).id)).toEqual(['owner']);
    expect(await readers((await make('workspace', workspace.id)).id)).toEqual(['owner', 'inTeam']);
    expect(await readers((await make('team', workspace.id)).id)).toEqual(['owner', 'inTeam']);
    expect(await readers((await make('org', workspace.id)).id)).toEqual(['owner', 'inTeam', 'outside', 'admin']);
    expect(await readers((await make('public', workspace.id)).id)).toEqual(['owner', 'inTeam', 'outside', 'admin']);
    expect(await readers((await make('workspace', a.workspaceId)).id)).toEqual(['owner', 'inTeam', 'outside', 'admin']);
    await expect(make('team', a.workspaceId)).rejects.toMatchObject({
      code: 'TNT_INPUT_INVALID',
      message: expect.stringContaining('visibility_team'),
    });
    const ofTeam = await a.as(owner, () =>
      f.resources.create({
        type: 'tag',
        name: 't',
        workspaceId: a.workspaceId,
        visibility: 'team',
        ownerPrincipalId: team.id,
      }),
    );
    expect(await readers(ofTeam.id)).toEqual(['owner', 'inTeam']);
    const b = await newOrganization(f);
    for (const row of await f.db.query<{ id: string }>('select id from tenantry.resources where tenant_id = $1', [
      a.tenantId,
    ])) {
      expect(await b.asAdmin(() => f.resources.get(row.id))).toBeNull();
      expect(await b.as(owner, () => f.resources.get(row.id))).toBeNull();
    }
    await withTenant({ tenantId: a.tenantId }, async () => {
      expect((await f.resources.list()).items.map((r) => r.visibility).sort()).toEqual(['org', 'public', 'workspace']);
    });
  });

  it('workspace editors write what the workspace sees, not what is private; the editor can be changed', async () => {
    const a = await newOrganization(f);
    const { inTeam, outside, workspace } = await withTeam(a);
    const [open, closed] = await a.as(inTeam, async () => [
      await f.resources.create({ type: 'tag', name: 'open', workspaceId: workspace.id, visibility: 'org' }),
      await f.resources.create({ type: 'tag', name: 'closed', workspaceId: workspace.id }),
    ]);
    await a.as(outside, () => expect(f.resources.update(open.id, { name: 'x' })).rejects.toMatchObject(forbidden));
    await a.as(outside, () => expect(f.resources.delete(open.id)).rejects.toMatchObject(forbidden));
    await a.asAdmin(() => f.workspaces.update(workspace.id, { editorPrincipalId: a.tenantId }));
    expect(await a.as(outside, () => f.resources.update(open.id, { name: 'edited' }))).toMatchObject({
      name: 'edited',
    });
    expect(await a.as(outside, () => f.resources.update(closed.id, { name: 'x' }))).toBeNull();
    await a.asAdmin(() => f.workspaces.update(workspace.id, { editorPrincipalId: systemRoles.admin.id }));
    await a.as(outside, () => expect(f.resources.update(open.id, { name: 'x' })).rejects.toMatchObject(forbidden));
    // an editor may not share: audience, owner and workspace are the owner's
    await a.asAdmin(async () => {
      expect(await f.resources.update(open.id, { name: 'by admin' })).toMatchObject({ name: 'by admin' });
      await expect(f.resources.update(open.id, { visibility: 'private' })).rejects.toMatchObject(forbidden);
      await expect(f.resources.update(open.id, { ownerPrincipalId: a.adminId })).rejects.toMatchObject(forbidden);
      await expect(f.resources.update(open.id, { workspaceId: a.workspaceId })).rejects.toMatchObject(forbidden);
    });
  });

  it('grants give read, write or admin to users, teams, roles and the organization', async () => {
    const a = await newOrganization(f);
    const { inTeam, outside, team } = await withTeam(a);
    const r = await a.asAdmin(() => f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId }));
    const grant = (principalId: string, access: 'read' | 'write' | 'admin') =>
      a.asAdmin(() => f.grants.attach({ resourceId: r.id, principalId, access }));
    const sees = async (userId: string) => (await a.as(userId, () => f.resources.get(r.id))) !== null;

    expect(grantSchema.parse(await grant(team.id, 'read'))).toMatchObject({ access: 'read', grantedBy: a.adminId });
    expect([await sees(inTeam), await sees(outside)]).toEqual([true, false]);
    await a.as(inTeam, async () => {
      await expect(f.resources.update(r.id, { name: 'y' })).rejects.toMatchObject(forbidden);
      await expect(f.grants.attach({ resourceId: r.id, principalId: outside })).rejects.toMatchObject(forbidden);
      await expect(f.grants.attach({ resourceId: r.id, principalId: inTeam, access: 'admin' })).rejects.toMatchObject(
        forbidden,
      );
      await expect(f.grants.attach({ resourceId: r.id, principalId: team.id, access: 'admin' })).rejects.toMatchObject(
        forbidden,
      );
      await expect(
        f.kernel.query(`update tenantry.resource_acl set access = 'admin' where resource_id = $1 returning 1`, [r.id]),
      ).resolves.toEqual([]);
      await expect(
        f.kernel.query(`update tenantry.resources set admins = readers where id = $1`, [r.id]),
      ).rejects.toMatchObject({ code: '42501' });
      expect((await f.grants.list(r.id)).map((g) => g.principalId)).toEqual([team.id]);
    });
    expect(await grant(team.id, 'write')).toMatchObject({ access: 'write' });
    expect(await a.as(inTeam, () => f.resources.update(r.id, { name: 'y' }))).toMatchObject({ name: 'y' });
    await a.as(inTeam, () =>
      expect(f.grants.attach({ resourceId: r.id, principalId: outside })).rejects.toMatchObject(forbidden),
    );
    await grant(inTeam, 'admin');
    await a.as(inTeam, () => f.grants.attach({ resourceId: r.id, principalId: outside }));
    expect(await sees(outside)).toBe(true);
    await a.as(outside, async () => {
      await expect(f.grants.revoke(r.id, inTeam)).resolves.toBe(false);
      expect((await f.grants.list(r.id)).map((g) => g.principalId)).toEqual([outside]);
    });
    await a.as(inTeam, async () => {
      expect(await f.grants.revoke(r.id, outside)).toBe(true);
      expect(await f.grants.revoke(r.id, outside)).toBe(false);
    });
    expect(await sees(outside)).toBe(false);
    await grant(systemRoles.member.id, 'read');
    expect(await sees(outside)).toBe(true);
    await a.asAdmin(() => f.grants.revoke(r.id, systemRoles.member.id));
    await grant(a.tenantId, 'read');
    expect(await sees(outside)).toBe(true);
    // what is gone with its principal
    await a.asAdmin(async () => {
      await f.grants.revoke(r.id, a.tenantId);
      await f.grants.revoke(r.id, inTeam);
      await f.teams.delete((await f.teams.getBySlug('t'))!.id).catch(() => null);
    });
    const [row] = await f.db.query<{ readers: string[] }>('select readers from tenantry.resources where id = $1', [
      r.id,
    ]);
    expect(row!.readers).toContain(a.adminId);
  });

  it('a grant with write is enough where the workspace itself is not seen', async () => {
    const a = await newOrganization(f);
    const [owner, writer] = [await a.member(), await a.member()];
    const r = await a.as(owner, async () => {
      const { id: workspaceId } = await f.workspaces.personal();
      const made = await f.resources.create({ type: 'tag', name: 'x', workspaceId });
      await f.grants.attach({ resourceId: made.id, principalId: writer, access: 'write' });
      return made;
    });
    await a.as(writer, async () => {
      expect(await f.workspaces.get(r.workspaceId)).toBeNull();
      expect(await f.resources.update(r.id, { name: 'y' })).toMatchObject({ name: 'y' });
      expect(await f.resources.delete(r.id)).toMatchObject({ id: r.id });
    });
  });

  it('grants to or on another organization are refused', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const ra = await a.asAdmin(() => f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId }));
    await b.asAdmin(async () => {
      await expect(f.grants.attach({ resourceId: ra.id, principalId: b.adminId })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(
        f.kernel.query(`insert into tenantry.resource_acl (tenant_id, resource_id, principal_id) values ($1, $2, $3)`, [
          a.tenantId,
          ra.id,
          b.adminId,
        ]),
      ).rejects.toMatchObject({ code: '42501' });
      await expect(
        f.kernel.query(`insert into tenantry.resource_acl (tenant_id, resource_id, principal_id) values ($1, $2, $3)`, [
          b.tenantId,
          ra.id,
          b.adminId,
        ]),
      ).rejects.toMatchObject({ code: '42501' });
      expect(await f.grants.list(ra.id)).toEqual([]);
      expect(await f.grants.list('x')).toEqual([]);
      expect(await f.grants.revoke('x', 'y')).toBe(false);
    });
    await a.asAdmin(() =>
      expect(f.grants.attach({ resourceId: ra.id, principalId: b.adminId })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      }),
    );
  });

  it('D12: the ACL editor replaces all grants or none', async () => {
    const a = await newOrganization(f);
    const [u1, u2] = [await a.member(), await a.member()];
    await a.asAdmin(async () => {
      const r = await f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId });
      await f.grants.replace(r.id, [{ principalId: u1 }, { principalId: u2, access: 'write' }]);
      const after = await f.grants.replace(r.id, [{ principalId: u2, access: 'read' }]);
      expect(after.map((g) => [g.principalId, g.access])).toEqual([[u2, 'read']]);
      await expect(f.grants.replace(r.id, [{ principalId: u1 }, { principalId: randomUUID() }])).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      expect(await f.grants.list(r.id)).toEqual(after);
    });
  });

  it('twenty grants at once on one resource are all in its readers', async () => {
    const a = await newOrganization(f);
    const users = await Promise.all(Array.from({ length: 20 }, () => a.member()));
    const r = await a.asAdmin(() => f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId }));
    await Promise.all(users.map((principalId) => a.asAdmin(() => f.grants.attach({ resourceId: r.id, principalId }))));
    const [row] = await f.db.query<{ readers: string[] }>('select readers from tenantry.resources where id = $1', [
      r.id,
    ]);
    expect([...row!.readers].sort()).toEqual([a.adminId, ...users].sort());
    const visible = await f.db.query<{ p: string }>(
      'select principal_id p from tenantry.resource_visible where resource_id = $1',
      [r.id],
    );
    expect(visible.map((v) => v.p).sort()).toEqual([...row!.readers].sort());
  });

  it("nobody creates in a workspace they do not see, in another's name, or in another organization", async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const { inTeam, outside, workspace } = await withTeam(a);
    const personal = await a.as(inTeam, () => f.workspaces.personal());
    await a.as(outside, async () => {
      for (const workspaceId of [workspace.id, personal.id]) {
        await expect(
          f.resources.create({ type: 'tag', name: 'x', workspaceId, visibility: 'workspace' }),
        ).rejects.toMatchObject(forbidden);
      }
      await expect(
        f.resources.create({
          type: 'tag',
          name: 'x',
          workspaceId: a.workspaceId,
          ownerPrincipalId: inTeam,
          visibility: 'workspace',
        }),
      ).rejects.toMatchObject(forbidden);
      for (const workspaceId of [b.workspaceId, randomUUID()]) {
        await expect(f.resources.create({ type: 'tag', name: 'x', workspaceId })).rejects.toMatchObject({
          code: 'TNT_NOT_FOUND',
        });
      }
      await expect(
        f.kernel.query(
          `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, name) values ($1, $2, 'tag', $3, 'x')`,
          [b.tenantId, b.workspaceId, b.adminId],
        ),
      ).rejects.toMatchObject({ code: '42501' });
      const mine = await f.resources.create({ type: 'tag', name: 'x', workspaceId: a.workspaceId });
      await expect(f.resources.update(mine.id, { workspaceId: workspace.id })).rejects.toMatchObject(forbidden);
      await expect(f.kernel.query('update tenantry.resources set tenant_id = $1', [b.tenantId])).rejects.toMatchObject({
        code: '42501',
      });
      // given away for good: no longer seen afterwards, so the new owner must leave one a way to see it
      await expect(f.resources.update(mine.id, { ownerPrincipalId: inTeam })).rejects.toMatchObject(forbidden);
      await f.grants.attach({ resourceId: mine.id, principalId: outside, access: 'read' });
      expect(await f.resources.update(mine.id, { ownerPrincipalId: inTeam })).toMatchObject({
        ownerPrincipalId: inTeam,
      });
      await expect(f.resources.update(mine.id, { name: 'y' })).rejects.toMatchObject(forbidden);
    });
    // the owner of the tables meets the composite keys
    await expect(
      f.db.query(
        `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, name) values ($1, $2, 'tag', $3, 'x')`,
        [a.tenantId, b.workspaceId, a.adminId],
      ),
    ).rejects.toMatchObject({ code: '23503' });
    await withUser({ userId: a.adminId }, async () =>
      expect(await f.kernel.query('select 1 from tenantry.resources')).toEqual([]),
    );
  });
});

describe('D12: prompts on the envelope', () => {
  it('are created, read, listed, changed and deleted with their envelope', async () => {
    const a = await newOrganization(f);
    const [reader, stranger] = [await a.member(), await a.member()];
    const made = await a.asAdmin(() =>
      f.prompts.create({
        name: 'Greet',
        workspaceId: a.workspaceId,
        body: 'Hello {{name}}',
        variables: ['name'],
        settings: { t: 0 },
      }),
    );
    expect(promptSchema.parse(made)).toMatchObject({ name: 'Greet', body: 'Hello {{name}}', variables: ['name'] });
    await a.asAdmin(async () => {
      expect(await f.prompts.get(made.id)).toEqual(made);
      expect((await f.prompts.list()).items.map((r) => [r.id, r.type])).toEqual([[made.id, 'prompt']]);
      const own = await f.prompts.update(made.id, { body: 'Hi' });
      expect(own).toMatchObject({ body: 'Hi', variables: ['name'] });
      expect(own!.updatedAt > made.updatedAt).toBe(true);
      expect(await f.prompts.update(made.id, { name: 'Renamed', body: 'Ho' })).toMatchObject({
        name: 'Renamed',
        body: 'Ho',
      });
      await f.grants.attach({ resourceId: made.id, principalId: reader });
    });
    await a.as(reader, async () => {
      expect(await f.prompts.get(made.id)).toMatchObject({ body: 'Ho' });
      await expect(f.prompts.update(made.id, { body: 'x' })).rejects.toMatchObject(forbidden);
      await expect(f.prompts.update(made.id, { name: 'x' })).rejects.toMatchObject(forbidden);
      await expect(f.prompts.delete(made.id)).rejects.toMatchObject(forbidden);
    });
    await a.as(stranger, async () => {
      expect([
        await f.prompts.get(made.id),
        await f.prompts.update(made.id, { body: 'x' }),
        await f.prompts.delete(made.id),
      ]).toEqual([null, null, null]);
      expect(await f.kernel.query('select 1 from tenantry.prompts')).toEqual([]);
      await expect(
        f.kernel.query(`insert into tenantry.prompts (tenant_id, resource_id, body) values ($1, $2, 'x')`, [
          a.tenantId,
          made.id,
        ]),
      ).rejects.toMatchObject({ code: '42501' });
    });
    await a.asAdmin(async () => {
      expect(await f.prompts.delete(made.id)).toMatchObject({ name: 'Renamed' });
      for (const id of [made.id, 'x'])
        expect([await f.prompts.get(id), await f.prompts.update(id, {}), await f.prompts.delete(id)]).toEqual([
          null,
          null,
          null,
        ]);
      await expect(f.prompts.create({ name: 'x', workspaceId: a.workspaceId, body: '' })).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
    });
  });
});

describe('D12: the catalog overlay', () => {
  it('global → organization → team → user: the nearest wins, a hidden entry takes the rest away', async () => {
    const a = await newOrganization(f);
    const { inTeam, outside, team } = await withTeam(a);
    const type = `model-${a.tenantId}`;
    await f.db.query(
      `insert into tenantry.catalog_global_items (type, key, data) values ($1, 'k', '{"from":"global"}'), ($1, 'other', '{}')`,
      [type],
    );
    const set = (as: string, principalId: string, from: string, hidden = false) =>
      a.as(as, () => f.catalog.set({ type, key: 'k', principalId, data: { from }, hidden }));
    const got = (userId: string) => a.as(userId, async () => (await f.catalog.get(type, 'k'))?.level);
    expect(await got(inTeam)).toBe('global');
    await set(a.adminId, a.tenantId, 'organization');
    expect([await got(inTeam), await got(outside)]).toEqual(['organization', 'organization']);
    await set(a.adminId, team.id, 'team');
    expect([await got(inTeam), await got(outside)]).toEqual(['team', 'organization']);
    await set(inTeam, inTeam, 'user');
    expect([await got(inTeam), await got(outside)]).toEqual(['user', 'organization']);
    await a.as(inTeam, async () => {
      expect((await f.catalog.list(type)).map((e) => [e.key, e.level, e.data])).toEqual([
        ['k', 'user', { from: 'user' }],
        ['other', 'global', {}],
      ]);
      await f.catalog.set({ type, key: 'k', principalId: inTeam, hidden: true });
      expect(await f.catalog.get(type, 'k')).toBeNull();
      expect((await f.catalog.list(type)).map((e) => e.key)).toEqual(['other']);
      expect(await f.catalog.remove(type, 'k', inTeam)).toBe(true);
      expect(await f.catalog.remove(type, 'k', inTeam)).toBe(false);
      expect(await f.catalog.remove(type, 'k', a.tenantId)).toBe(false);
      expect(await f.catalog.remove(type, 'k', 'x')).toBe(false);
    });
    expect(await got(inTeam)).toBe('team');
  });

  it("wider levels are written by catalog.write alone, global ones by nobody here, and no tenant sees another's", async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const { inTeam, outside, team } = await withTeam(a);
    await a.as(inTeam, async () => {
      for (const principalId of [a.tenantId, team.id, outside]) {
        await expect(f.catalog.set({ type: 'm', key: 'k', principalId })).rejects.toMatchObject(forbidden);
      }
      await expect(f.catalog.set({ type: 'm', key: 'k', principalId: b.tenantId })).rejects.toMatchObject({
        code: 'TNT_NOT_FOUND',
      });
      await expect(
        f.kernel.query(`insert into tenantry.catalog_global_items (type, key) values ('m', 'k')`),
      ).rejects.toMatchObject({ code: '42501' });
    });
    await a.asAdmin(async () => {
      await f.catalog.set({ type: 'm', key: 'k', principalId: a.tenantId });
      await expect(f.catalog.set({ type: 'm', key: 'k', principalId: systemRoles.admin.id })).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
    });
    await b.asAdmin(async () => {
      expect(await f.catalog.get('m', 'k')).toBeNull();
      expect(await f.kernel.query('select 1 from tenantry.catalog_items')).toEqual([]);
      await expect(
        f.kernel.query(
          `insert into tenantry.catalog_items (tenant_id, principal_id, type, key) values ($1, $1, 'm', 'z')`,
          [a.tenantId],
        ),
      ).rejects.toMatchObject({ code: '42501' });
    });
  });
});
