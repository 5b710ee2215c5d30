import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import {
  createThrowawayDatabase,
  expectIsolated,
  seedMatrix,
  type ThrowawayDatabase,
} from '../../src/testing/index.ts';

/** The server of this run, as an adopter's TEST_DATABASE_URL would name it. */
const url = (): string => `${inject('server').adminBase}/postgres`;

describe('tenantry/testing: a throw-away database', () => {
  it('is migrated, used as the unprivileged login, and gone afterwards', async () => {
    const database = await createThrowawayDatabase({ url: url() });
    const { rows } = await database.pool
      .query<{ tenant: string; login: string; super: boolean }>(
        `select current_user as login, (select rolsuper or rolbypassrls from pg_roles where rolname = current_user) as super`,
      )
      .catch(() => ({ rows: [] }));
    expect(rows).toEqual([]); // no context: refused before anything is sent
    const tenantId = randomUUID();
    const asked = await withTenant({ tenantId }, () =>
      database.pool.query(
        `select tenantry.current_tenant() as tenant, (select rolsuper or rolbypassrls or rolcreaterole from pg_roles where rolname = current_user) as strong`,
      ),
    );
    expect(asked.rows).toEqual([{ tenant: tenantId, strong: false }]);
    await database.drop();
    const next = await createThrowawayDatabase({ url: url() });
    const left = await next.admin.query(
      `select datname from pg_database where datname = $1 union all select rolname from pg_roles where rolname = $2`,
      [database.name, new URL(database.appUrl).username],
    );
    expect(left.rows).toEqual([]);
    await next.drop();
  });

  it('starts an embedded server when no URL is given, and shares it', async () => {
    const { TEST_DATABASE_URL: test, DATABASE_URL: app } = process.env;
    delete process.env['TEST_DATABASE_URL'];
    delete process.env['DATABASE_URL'];
    try {
      const [a, b] = await Promise.all([createThrowawayDatabase(), createThrowawayDatabase()]);
      expect(new URL(a.adminUrl).port).toBe(new URL(b.adminUrl).port);
      await a.drop();
      expect((await b.admin.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
      await b.drop();
    } finally {
      if (test !== undefined) process.env['TEST_DATABASE_URL'] = test;
      if (app !== undefined) process.env['DATABASE_URL'] = app;
    }
  }, 60_000);

  it('says what is wrong with the server, and leaves nothing', async () => {
    await expect(createThrowawayDatabase({ url: 'postgresql://x:y@127.0.0.1:1/postgres' })).rejects.toMatchObject({
      code: 'TNT_SERVER_UNREACHABLE',
    });
    await expect(createThrowawayDatabase({ url: `${inject('server').appBase}/postgres` })).rejects.toMatchObject({
      code: 'TNT_PRIVILEGE_MISSING',
    });
  });
});

describe('tenantry/testing: expectIsolated', () => {
  let database: ThrowawayDatabase;
  const [a, b] = [randomUUID(), randomUUID()];
  const both = { as: { tenantId: a }, others: [{ tenantId: b }] };
  beforeAll(async () => {
    database = await createThrowawayDatabase({ url: url() });
    await database.admin.query(`
      grant create on schema public to tenantry_owner;
      create table notes (tenant_id uuid not null, id bigint generated always as identity, body text);
      create table leaky (like notes);
      create table half (like notes);
      alter table notes owner to tenantry_owner;
      alter table half owner to tenantry_owner;
      alter table notes enable row level security;
      alter table half enable row level security;
      create policy f on notes using (tenant_id = tenantry.current_tenant());
      create policy r on half for select using (true);
      create policy d on half for delete using (tenant_id = tenantry.current_tenant());
      create view "By Name" with (security_invoker = true) as select * from notes;
      grant select, insert, delete on notes, leaky, half, "By Name" to tenantry_app;`);
    for (const table of ['notes', 'leaky', 'half']) {
      await database.admin.query(
        `insert into ${table} (tenant_id, id, body) overriding system value values ($1, 1, 'a'), ($2, 2, 'b')`,
        [a, b],
      );
    }
  });
  afterAll(() => database.drop());

  it('passes for a protected table, a view and a query, and leaves every row', async () => {
    const { pool } = database;
    await expectIsolated('notes', { pool, ...both });
    await expectIsolated('public.By Name', { pool, ...both });
    await expectIsolated(
      { text: 'select body, 1::bigint as n from notes where id > $1', values: [0] },
      { pool, ...both },
    );
    expect((await database.admin.query('select count(*)::int n from notes')).rows).toEqual([{ n: 2 }]);
  });

  it('fails where rows are seen or can be removed, naming who', async () => {
    const { pool } = database;
    await expect(expectIsolated('leaky', { pool, ...both })).rejects.toThrow(`${b} sees 2 row(s) of ${a} in leaky`);
    await expect(expectIsolated('half', { pool, ...both })).rejects.toThrow(`${b} sees 2 row(s)`);
    await database.admin.query(
      "drop policy r on half; drop policy d on half; create policy r on half for select using (tenant_id = tenantry.current_tenant() or current_query() like 'delete%'); create policy d on half for delete using (true)",
    );
    await expect(expectIsolated('half', { pool, ...both })).rejects.toThrow(`${b} can delete 1 row(s) of ${a} in half`);
    expect((await database.admin.query('select count(*)::int n from half')).rows).toEqual([{ n: 2 }]);
  });

  it('refuses to prove nothing', async () => {
    const { pool } = database;
    await expect(
      expectIsolated('notes', { pool, as: { tenantId: randomUUID() }, others: [{ tenantId: b }] }),
    ).rejects.toThrow('sees no row');
    await expect(expectIsolated('notes', { pool, as: { tenantId: a }, others: [] })).rejects.toThrow('needs somebody');
    await expect(expectIsolated('notes', { pool, as: { tenantId: a }, others: [{ tenantId: a }] })).rejects.toThrow(
      'itself',
    );
    await expect(expectIsolated('no_such', { pool, ...both })).rejects.toMatchObject({ code: '42P01' });
  });

  it('seedMatrix makes the shape it says, twice in one database', async () => {
    const options = { organizations: 3, teams: 2, users: 6 };
    const [first, second] = [await seedMatrix(database.admin, options), await seedMatrix(database.admin, options)];
    expect(first.organizations).toHaveLength(3);
    expect(first.organizations.map((o) => o.members.length)).toEqual([4, 4, 4]);
    expect(first.organizations[0]!.members.filter((m) => m.role === 'admin')).toHaveLength(1);
    expect(first.userIds).not.toEqual(second.userIds);
    const members = first.organizations[1]!.members;
    await expectIsolated('tenantry.team_members', {
      pool: database.pool,
      as: { tenantId: first.organizations[1]!.id, userId: members[0]!.id },
      others: [
        { tenantId: first.organizations[0]!.id, userId: first.organizations[0]!.members[0]!.id },
        { tenantId: second.organizations[1]!.id },
      ],
    });
  });
});
