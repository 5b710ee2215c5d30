import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { withTenant, withUser } from '../../src/context/index.ts';
import type { Resource, ResourceListOptions } from '../../src/resources/index.ts';
import { listStatement, type Shape } from '../../src/resources/list.ts';
import { resourceList } from '../../src/resources/schema.ts';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';

const f = directoryFixture();

interface Seeded {
  readonly organization: TestOrganization;
  /** Sees a fifth through 3 teams, grants and his own. */
  readonly sparse: string;
  /** A member of 70 teams: above the number whose visible sets are read one by one. */
  readonly many: string;
  readonly nobody: string;
}

/** 300 resources of mixed type, workspace, visibility and grants; timestamps and names with many ties. */
async function seed(): Promise<Seeded> {
  const o = await newOrganization(f);
  const [sparse, many, nobody] = [await o.member(), await o.member(), await o.member()];
  const q = (text: string, values: unknown[] = []) => f.db.query<{ id: string }>(text, values);
  const teams = (
    await q(
      `insert into tenantry.teams (tenant_id, name, slug) select $1, 'T' || i, 't' || i from generate_series(1, 70) i returning id`,
      [o.tenantId],
    )
  ).map((t) => t.id);
  await q(
    'insert into tenantry.team_members (tenant_id, team_id, user_id) select $1, t, $3 from unnest($2::uuid[]) t',
    [o.tenantId, teams, many],
  );
  await q(
    'insert into tenantry.team_members (tenant_id, team_id, user_id) select $1, t, $3 from unnest($2::uuid[]) t',
    [o.tenantId, teams.slice(0, 3), sparse],
  );
  const [space] = await q(
    `insert into tenantry.workspaces (tenant_id, kind, name, team_id) values ($1, 'team', 'W', $2) returning id`,
    [o.tenantId, teams[0]],
  );
  await q(
    `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, visibility, name, updated_at, created_at)
     select $1, case when i % 3 = 0 then $3::uuid else $2::uuid end, (array['prompt','tag','model'])[1 + i % 3],
       case when i % 10 = 0 then $5::uuid else $4::uuid end,
       case when i % 7 = 0 then 'workspace' when i % 11 = 0 then 'org' else 'private' end,
       (array['Alpha', 'alpha', 'Beta_1', 'b%ta', 'Ünïcode', 'z\\z'])[1 + i % 6] || ' ' || i % 20,
       timestamptz '2026-01-01' + (i % 40) * interval '1 minute' + (i % 2) * interval '1 microsecond', timestamptz '2025-01-01' + (i % 30) * interval '1 day'
     from generate_series(1, 300) i`,
    [o.tenantId, o.workspaceId, space!.id, o.adminId, sparse],
  );
  await q(
    `insert into tenantry.resource_acl (tenant_id, resource_id, principal_id)
     select r.tenant_id, r.id, ($2::uuid[])[1 + n % 70] from (select *, row_number() over (order by id) n from tenantry.resources where tenant_id = $1) r where n % 2 = 0
     union select r.tenant_id, r.id, $3 from (select *, row_number() over (order by id) n from tenantry.resources where tenant_id = $1) r where n % 13 = 0`,
    [o.tenantId, teams, sparse],
  );
  return { organization: o, sparse, many, nobody };
}

/** The same by hand, over the rule as the requirement words it, as the owner of the tables. */
async function expected(o: TestOrganization, userId: string, options: ResourceListOptions): Promise<string[]> {
  const principals = await o.as(userId, () => f.principals.mine());
  const types = options.type === undefined ? null : [options.type].flat();
  const column = { updatedAt: 'updated_at', createdAt: 'created_at', name: 'name' }[options.sort ?? 'updatedAt'];
  const direction = options.order ?? (options.sort === 'name' ? 'asc' : 'desc');
  const rows = await f.db.query<{ id: string }>(
    `select r.id from tenantry.resources r join tenantry.workspaces w on w.tenant_id = r.tenant_id and w.id = r.workspace_id
     where r.tenant_id = $1 and (
         r.owner_principal_id = any ($2::uuid[]) or (r.visibility in ('org', 'public') and r.tenant_id = any ($2::uuid[]))
         or (r.visibility <> 'private' and w.editor_principal_id = any ($2::uuid[]))
         or (r.visibility in ('workspace', 'team') and w.audience_principal_id = any ($2::uuid[]))
         or exists (select 1 from tenantry.resource_acl a where a.tenant_id = r.tenant_id and a.resource_id = r.id and a.principal_id = any ($2::uuid[])))
       and ($3::text[] is null or r.type = any ($3)) and ($4::uuid is null or r.workspace_id = $4)
       and ($5::text is null or r.visibility = $5) and ($6::uuid is null or r.owner_principal_id = $6)
       and ($7::timestamptz is null or r.updated_at >= $7) and ($8::timestamptz is null or r.updated_at < $8)
       and ($9::text is null or position(lower($9) in lower(r.name)) > 0)
     order by r.${column} ${direction}, r.id ${direction}`,
    [
      o.tenantId,
      principals,
      types,
      options.workspaceId ?? null,
      options.visibility ?? null,
      options.ownerPrincipalId ?? null,
      options.updatedFrom ?? null,
      options.updatedBefore ?? null,
      options.search ?? null,
    ],
  );
  return rows.map((row) => row.id);
}

async function allPages(o: TestOrganization, userId: string, options: ResourceListOptions): Promise<Resource[]> {
  return o.as(userId, async () => {
    const all: Resource[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await f.resources.list({ ...options, ...(cursor === undefined ? {} : { cursor }) });
      all.push(...page.items);
      if (page.nextCursor === null) return all;
      expect(page.items).toHaveLength(options.limit ?? 50);
      cursor = page.nextCursor;
    }
  });
}

describe('D3, D9: the list is exactly what the rule allows', () => {
  let s: Seeded;
  beforeAll(async () => {
    s = await seed();
  });

  it('whatever the caller, order, filter and page size (120 random lists)', async () => {
    const present = <T>(arbitrary: fc.Arbitrary<T>) =>
      fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
    const types = fc.constantFrom('prompt', 'tag', 'model');
    const instant = fc.integer({ min: 0, max: 41 }).map((m) => new Date(Date.UTC(2026, 0, 1, 0, m)));
    const spaces = await f.db.query<{ id: string }>('select id from tenantry.workspaces where tenant_id = $1', [
      s.organization.tenantId,
    ]);
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(s.sparse, s.many, s.nobody, s.organization.adminId),
        fc.record({
          limit: fc.integer({ min: 4, max: 80 }),
          sort: fc.constantFrom('updatedAt' as const, 'createdAt' as const, 'name' as const),
          order: present(fc.constantFrom('asc' as const, 'desc' as const)),
          type: present(fc.oneof(types, fc.uniqueArray(types, { minLength: 1 }))),
          workspaceId: present(fc.constantFrom(...spaces.map((w) => w.id), randomUUID())),
          visibility: present(fc.constantFrom('private' as const, 'workspace' as const, 'org' as const)),
          ownerPrincipalId: present(fc.constantFrom(s.sparse, s.organization.adminId)),
          updatedFrom: present(instant),
          updatedBefore: present(instant),
          search: present(fc.constantFrom('alpha', 'BETA_', '%', '_', 'ünï', '\\', ' 1', 'nothing')),
        }),
        async (userId, given) => {
          const options = Object.fromEntries(
            Object.entries(given).filter(([, v]) => v !== undefined),
          ) as ResourceListOptions;
          const listed = (await allPages(s.organization, userId, options)).map((r) => r.id);
          expect(listed).toEqual(await expected(s.organization, userId, options));
          const { limit: _limit, sort: _sort, order: _order, ...filter } = options;
          const counted = await s.organization.as(userId, () => f.resources.count(filter));
          expect(counted).toEqual({ count: listed.length, exact: true });
        },
      ),
      { numRuns: 120 },
    );
  });

  it('a row at a time', async () => {
    const { organization, sparse } = s;
    const options = { type: 'tag', limit: 1 };
    expect((await allPages(organization, sparse, options)).map((r) => r.id)).toEqual(
      await expected(organization, sparse, options),
    );
  });

  it('whichever way it goes: a shape that is wrong costs time and no row', async () => {
    const { organization: o } = s;
    const far = { value: '2020-01-01 00:00:00.000000+00', id: randomUUID() };
    for (const userId of [s.sparse, s.many, s.nobody, o.adminId]) {
      for (const options of [
        {},
        { type: 'tag' },
        { type: ['tag', 'model'] },
        { order: 'asc' as const },
        { search: 'alpha' },
        { search: 'nothing' },
        { search: 'a', type: 'tag', sort: 'name' as const },
      ]) {
        const rows = (await expected(o, userId, options)).slice(0, 31);
        for (const way of ['few', 'walk', 'merge'] as const) {
          for (const many of [true, false]) {
            const shape = { way, many, until: way === 'walk' ? far : undefined };
            const listed = await o.as(userId, () => {
              const { text, values } = listStatement(o.tenantId, resourceList.parse({ ...options, limit: 30 }), {
                shape,
              });
              return f.kernel.query<{ id: string }>(text, values);
            });
            expect(
              listed.map((row) => row.id),
              JSON.stringify([options, shape]),
            ).toEqual(rows);
          }
        }
      }
    }
  });

  it('shows something through each way in, and nothing without a user of the tenant', async () => {
    const seen = await Promise.all(
      [s.sparse, s.many, s.nobody].map((u) => allPages(s.organization, u, { limit: 200 })),
    );
    const [sparse, many, nobody] = seen.map((rows) => rows.length);
    expect(many).toBeGreaterThan(sparse!);
    expect(sparse).toBeGreaterThan(nobody!);
    expect(nobody).toBeGreaterThan(0);
    const other = await newOrganization(f);
    expect(await allPages(other, other.adminId, {})).toEqual([]);
    expect(await allPages(s.organization, other.adminId, {})).toEqual([]);
    await expect(withUser({ userId: s.many }, () => f.resources.list())).rejects.toMatchObject({
      code: 'TNT_CONTEXT_MISSING',
    });
  });

  it('visible set and readers agree after every kind of change', async () => {
    const drift = () =>
      f.db.query(
        `select * from (select tenant_id, p, updated_at, id, type from tenantry.resources, unnest(readers) p) a
         full join (select tenant_id, principal_id p, updated_at, resource_id id, type from tenantry.resource_visible) b
           using (tenant_id, p, updated_at, id, type) where a is null or b is null`,
      );
    const o = s.organization;
    await o.asAdmin(async () => {
      const { items } = await f.resources.list({ limit: 4 });
      const [first, second, third, fourth] = items as [Resource, Resource, Resource, Resource];
      await f.resources.update(first.id, { name: 'changed' });
      await f.resources
        .update(second.id, { visibility: second.visibility === 'org' ? 'private' : 'org' })
        .catch(() => null);
      await f.grants.attach({ resourceId: third.id, principalId: s.nobody }).catch(() => null);
      await f.resources.delete(fourth.id);
    });
    await f.db.query(`update tenantry.resources set type = 'integration' where tenant_id = $1 and type = 'model'`, [
      o.tenantId,
    ]);
    await f.db.query('delete from tenantry.org_members where tenant_id = $1 and user_id = $2', [o.tenantId, s.nobody]);
    expect(await drift()).toEqual([]);
  });
});

describe('D9: pages', () => {
  it('neither repeat nor lose a row when others are inserted and touched meanwhile', async () => {
    const o = await newOrganization(f);
    await o.asAdmin(async () => {
      await f.db.query(
        `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, name) select $1, $2, 'tag', $3, 'r' || i from generate_series(1, 30) i`,
        [o.tenantId, o.workspaceId, o.adminId],
      );
      const before = (await f.resources.list({ limit: 200 })).items.map((r) => r.id);
      const first = await f.resources.list({ limit: 10 });
      await f.resources.create({ type: 'tag', name: 'new', workspaceId: o.workspaceId });
      await f.resources.update(first.items[3]!.id, { name: 'touched' });
      const second = await f.resources.list({ limit: 10, cursor: first.nextCursor! });
      const third = await f.resources.list({ limit: 10, cursor: second.nextCursor! });
      expect([...first.items, ...second.items, ...third.items].map((r) => r.id)).toEqual(before);
    });
  });

  it("refuse a cursor that is damaged, forged, or of another list, order or tenant's place shows nothing foreign", async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    for (const o of [a, b]) {
      await f.db.query(
        `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, name) select $1, $2, 'tag', $3, 'r' || i from generate_series(1, 5) i`,
        [o.tenantId, o.workspaceId, o.adminId],
      );
    }
    const cursor = (await b.asAdmin(() => f.resources.list({ limit: 2 }))).nextCursor!;
    const forge = (content: unknown) => Buffer.from(JSON.stringify(content)).toString('base64url');
    const [, value, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString()) as string[];
    await a.asAdmin(async () => {
      const list = 'resources.updatedAt.desc';
      for (const bad of [
        'x',
        '',
        ' ',
        `${cursor}!`,
        cursor.slice(0, -4),
        'e30',
        forge(null),
        forge([list]),
        forge([list, value, 'id']),
        forge([list, value, id, 1]),
        forge(['resources.name.asc', value, id]),
        forge([list, "now()'; select 1", id]),
        forge([list, 'infinity', id]),
        forge([list, 5, id]),
        'a'.repeat(5000),
      ]) {
        const code = bad.length > 4096 ? 'TNT_INPUT_INVALID' : 'TNT_CURSOR_INVALID';
        await expect(f.resources.list({ cursor: bad }), bad.slice(0, 50)).rejects.toMatchObject({ code });
      }
      await expect(f.resources.list({ cursor, sort: 'name' })).rejects.toMatchObject({ code: 'TNT_CURSOR_INVALID' });
      await expect(f.resources.list({ cursor, order: 'asc' })).rejects.toMatchObject({ code: 'TNT_CURSOR_INVALID' });
      // another tenant's cursor is only a place in the order
      for (const r of (await f.resources.list({ cursor })).items) expect(r.tenantId).toBe(a.tenantId);
      const far = forge(['resources.updatedAt.desc', '9999-12-31 00:00:00.000000+00', id]);
      expect((await f.resources.list({ cursor: far })).items).toHaveLength(5);
      await expect(
        f.resources.list({ cursor: forge([list, '2026-99-99 00:00:00.000000+00', id]) }),
      ).rejects.toMatchObject({ code: 'TNT_CURSOR_INVALID' });
    });
  });

  it('take hostile text for text', async () => {
    const o = await newOrganization(f);
    await o.asAdmin(async () => {
      const name = `'; drop table tenantry.resources; --`;
      const r = await f.resources.create({ type: 'tag', name, workspaceId: o.workspaceId });
      for (const search of [name, "'", '--', "' or true --"]) {
        expect((await f.resources.list({ search })).items.map((x) => x.id)).toEqual(
          name.includes(search) ? [r.id] : [],
        );
      }
      for (const options of [
        { type: "tag' or '1'='1" },
        { sort: 'name; drop table x' },
        { order: 'desc, (select 1)' },
        { workspaceId: "' or 1=1" },
        { limit: 0 },
        { limit: 201 },
        { limit: 1.5 },
        { limit: '5' },
        { visibility: 'secret' },
        { search: '' },
        { extra: 1 },
        { updatedFrom: 'yesterday' },
        { type: [] },
      ]) {
        await expect(f.resources.list(options as never)).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      }
      await expect(f.resources.count({ type: 'Tag' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      // PostgreSQL knows no zero byte in text
      await expect(f.resources.list({ search: 'a\0b' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
      await expect(f.resources.create({ type: 'tag', name: 'a\0b', workspaceId: o.workspaceId })).rejects.toMatchObject(
        { code: 'TNT_INPUT_INVALID' },
      );
    });
  });
});

describe('F4, D10: the list reads indexes, whatever the density', () => {
  let o: TestOrganization;
  let reader: string;
  const limit = 6000;
  beforeAll(async () => {
    o = await newOrganization(f);
    reader = await o.member();
    // 2 of 3 are seen by everybody: above what is fetched one by one
    await f.db.query(
      `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, visibility, name, updated_at)
       select $1, $2, (array['prompt', 'tag'])[1 + i % 2], $3, case when i % 3 = 0 then 'private' else 'org' end, 'name ' || i,
         timestamptz '2026-01-01' + i * interval '1 second' from generate_series(1, $4::int) i`,
      [o.tenantId, o.workspaceId, o.adminId, limit * 1.5],
    );
    await f.db.query(
      'analyze tenantry.resources, tenantry.resource_visible, tenantry.org_members, tenantry.workspaces',
    );
  });

  /** What of the plan ran. */
  const ran = async (...args: Parameters<typeof plan>) =>
    (await plan(...args))
      .split('\n')
      .filter((line) => !line.includes('never executed'))
      .join('\n');
  const plan = (userId: string, options: ResourceListOptions, after?: { value: string; id: string }, shape?: Shape) =>
    withTenant({ tenantId: o.tenantId, userId }, () =>
      f.kernel.transaction(async (tx) => {
        // a table of a few thousand rows may as well be read whole: this asks whether an index can be used
        await tx.query('set local enable_seqscan = off');
        const { text, values } = listStatement(o.tenantId, resourceList.parse(options), { after, shape });
        const rows = await tx.query<{ 'QUERY PLAN': string }>(
          `explain (analyze, costs off, timing off, summary off) ${text}`,
          values,
        );
        return rows.map((row) => row['QUERY PLAN']).join('\n');
      }),
    );

  it('pages of a dense list come from the visible set, without a sequential scan', async () => {
    const text = await ran(reader, {});
    expect(text).toMatch(/resource_visible_pkey/);
    expect(text).not.toMatch(/Seq Scan on resource/);
    expect(await ran(reader, { type: 'tag' })).toMatch(/resource_visible_type_idx/);
    expect(await ran(reader, { sort: 'name' })).not.toMatch(/Seq Scan on resources/);
    expect(await ran(reader, { sort: 'createdAt', workspaceId: o.workspaceId })).not.toMatch(/Seq Scan on resources/);
    expect(await ran(reader, {}, { value: '2026-01-01 00:30:00.000000+00', id: randomUUID() })).not.toMatch(
      /Seq Scan on resource/,
    );
  });

  it('of the plans in one statement only what fits runs', async () => {
    const text = await plan(reader, { sort: 'name' });
    expect(text).toMatch(/One-Time Filter: .*g.*\.sparse/);
    expect(text).toMatch(/never executed/);
  });

  it('dense lists in any order are the same as by hand, and counts are bounded', async () => {
    for (const options of [
      { sort: 'name' as const },
      { sort: 'createdAt' as const, order: 'asc' as const },
      { search: 'name 1' },
      { type: 'tag' },
      { type: ['tag', 'prompt', 'tag'] },
    ]) {
      const listed = await o.as(reader, () => f.resources.list({ ...options, limit: 100 }));
      expect(listed.items.map((r) => r.id)).toEqual((await expected(o, reader, options)).slice(0, 100));
    }
    expect(await o.as(reader, () => f.resources.count())).toEqual({ count: limit, exact: true });
    await f.db.query(
      `insert into tenantry.resources (tenant_id, workspace_id, type, owner_principal_id, visibility, name)
       select $1, $2, 'tag', $3, 'org', 'more ' || i from generate_series(1, 15500) i`,
      [o.tenantId, o.workspaceId, o.adminId],
    );
    expect(await o.as(reader, () => f.resources.count())).toEqual({ count: 10_000, exact: false });
    // dense now: what is found among the first rows, and what is not
    for (const search of ['more 1', 'more 15500', 'name 77', 'nothing']) {
      const listed = await o.as(reader, () => f.resources.list({ search, limit: 20 }));
      expect(listed.items.map((r) => r.id)).toEqual((await expected(o, reader, { search })).slice(0, 20));
    }
  });

  it('a page that was walked is complete after what it showed was taken back', async () => {
    const mine = await o.member();
    const shape = () =>
      o.as(mine, () =>
        f.kernel
          .query<{ way: string }>('select s.way from tenantry.list_shape(null, 51, false) s')
          .then(([row]) => row),
      );
    const listed = async () => (await o.as(mine, () => f.resources.list())).items.map((r) => r.id);
    expect(await shape()).toEqual({ way: 'walk' });
    const before = await listed();
    expect(await listed()).toEqual(before);
    expect(before).toEqual((await expected(o, mine, {})).slice(0, 50));
    await f.db.query(`update tenantry.resources set visibility = 'private' where tenant_id = $1 and id = any ($2)`, [
      o.tenantId,
      before.slice(0, 30),
    ]);
    const after = await listed();
    expect(after).toHaveLength(50);
    expect(after).toEqual((await expected(o, mine, {})).slice(0, 50));
    expect(await listed()).toEqual(after);
  });

  it('what chooses the way shows no row that the policy does not', async () => {
    const stranger = await newOrganization(f);
    const [all, none] = [`'-infinity', '00000000-0000-0000-0000-000000000000'`, { rows: 0, foreign: 0 }];
    const newest = `select count(*)::int as rows, count(*) filter (where not r.readers && tenantry.caller_principals())::int as foreign
      from tenantry.newest_resources(null, ${all}, 100000) r`;
    const [mine] = await o.as(reader, () => f.kernel.query<{ rows: number; foreign: number }>(newest));
    expect(mine?.rows).toBeGreaterThan(limit);
    expect(mine?.foreign).toBe(0);
    for (const context of [
      { tenantId: o.tenantId, userId: stranger.adminId },
      { tenantId: stranger.tenantId, userId: reader },
      { tenantId: randomUUID(), userId: reader },
    ]) {
      await withTenant(context, async () => {
        expect(await f.kernel.query(newest)).toEqual([none]);
        expect(
          await f.kernel.query(
            'select s.way, s.many, s.until_at, s.until_id from tenantry.list_shape(null, 51, false) s',
          ),
        ).toEqual([{ way: 'few', many: false, until_at: null, until_id: null }]);
      });
    }
  });

  it('look-ups of the directory read indexes', async () => {
    await withTenant({ tenantId: o.tenantId, userId: reader }, async () => {
      for (const text of [
        'select * from tenantry.organizations',
        'select * from tenantry.org_members',
        `select * from tenantry.resources where id = '${randomUUID()}'`,
        'select * from tenantry.workspaces',
        'select * from tenantry.audit_log order by at desc limit 10',
      ]) {
        const client = await f.pool.connect();
        await client.query('begin');
        await client.query('set local enable_seqscan = off'); // tables of a few rows are read whole otherwise
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain (costs off) ${text}`);
        await client.query('commit');
        client.release();
        const lines = rows.map((row) => row['QUERY PLAN']).join('\n');
        expect(lines, text).toMatch(/Index Cond: .*(?:current_tenant|caller_organizations|tenant_id)/);
        expect(lines, text).not.toMatch(/^\s*(?:->\s*)?Seq Scan on (?!system_roles)/m);
      }
    });
  });
});
