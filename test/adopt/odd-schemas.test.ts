import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema } from '../../src/adopt/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { analyzeHost } from './support/analyze.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

/** Everything about a schema that a tool may trip over, hanging on one root. */
const schema = `
create schema "Back Office";
create table "Tenants; drop" ("Key" text primary key, "display name" text);
-- composite keys, in another schema, mixed case
create table "Back Office"."Depots" (
  "Tenant" text not null references "Tenants; drop" ("Key") on update cascade,
  "No" integer not null,
  "Label" text,
  primary key ("Tenant", "No")
);
create table "Back Office".bins (
  depot_tenant text not null,
  depot_no integer not null,
  bin integer not null,
  size integer not null,
  area integer generated always as (size * size) stored,
  primary key (depot_tenant, depot_no, bin),
  foreign key (depot_tenant, depot_no) references "Back Office"."Depots" ("Tenant", "No") on update cascade
);
-- a circle and a table that refers to itself
create table people (
  id uuid primary key default gen_random_uuid(),
  tenant text not null references "Tenants; drop" ("Key") on update cascade,
  boss uuid references people (id),
  home_project bigint
);
create table projects (
  id bigint generated always as identity primary key,
  lead uuid not null references people (id)
);
alter table people add foreign key (home_project) references projects (id);
-- two ways up, either of which may be missing
create table notes (
  id bigint generated always as identity primary key,
  project_id bigint references projects (id) on delete set null,
  person_id uuid references people (id),
  body text not null,
  check (project_id is not null or person_id is not null)
);
-- partitioned two levels deep
create table events (
  id bigint generated always as identity,
  person_id uuid not null references people (id),
  at date not null,
  kind text not null,
  primary key (id, at, kind)
) partition by range (at);
create table events_2025 partition of events for values from ('2025-01-01') to ('2026-01-01');
create table events_2026 partition of events for values from ('2026-01-01') to ('2027-01-01') partition by list (kind);
create table events_2026_a partition of events_2026 for values in ('a');
create table events_2026_rest partition of events_2026 default;
-- no key at all
create table pings (person_id uuid not null references people (id), at timestamptz not null default now());
-- a join table whose tenants come by both sides
create table project_people (
  project_id bigint references projects (id) on delete cascade,
  person_id uuid references people (id),
  primary key (project_id, person_id)
);
-- a trigger that stamps and one that chooses the key itself
create table tickets (
  id bigint generated always as identity primary key,
  project_id bigint not null references projects (id),
  changed integer not null default 0
);
create function count_change() returns trigger language plpgsql as $$ begin new.changed := old.changed + 1; return new; end $$;
create trigger "Count Change" before update on tickets for each row when (old.changed < 1000) execute function count_change();
create function default_project() returns trigger language plpgsql as $$ begin if new.project_id is null then select min(id) into new.project_id from projects; end if; return new; end $$;
create trigger default_project before insert on tickets for each row execute function default_project();

insert into "Tenants; drop" values ('a''b', 'Ann''s'), ('c', null), ('d "q"', 'Same'), ('e', 'Same');
insert into "Back Office"."Depots" select "Key", n, 'x' from "Tenants; drop", generate_series(1, 3) n;
insert into "Back Office".bins select "Tenant", "No", b, b from "Back Office"."Depots", generate_series(1, 20) b;
insert into people (tenant) select "Key" from "Tenants; drop", generate_series(1, 25);
update people p set boss = (select min(q.id::text)::uuid from people q where q.tenant = p.tenant);
insert into projects (lead) select id from people;
update people p set home_project = (select min(j.id) from projects j where j.lead = p.id);
insert into notes (project_id, person_id, body) select case when j.id % 3 <> 0 then j.id end, case when j.id % 3 <> 1 then j.lead end, 'n' from projects j;
insert into events (person_id, at, kind) select id, date '2025-06-01' + (n * 100), (array['a','b'])[1 + n % 2] from people, generate_series(0, 4) n;
insert into pings (person_id) select id from people, generate_series(1, 7);
insert into project_people select j.id, p.id from projects j join people l on l.id = j.lead join people p on p.tenant = l.tenant;
insert into tickets (project_id) select id from projects, generate_series(1, 4);
`;

/** Every table with the tenant's key of its rows, written by hand. */
const truth: Record<string, string> = {
  '"Tenants; drop"': 'select t.tenant_id, t."Key" as key from "Tenants; drop" t',
  '"Back Office"."Depots"': 'select t.tenant_id, t."Tenant" as key from "Back Office"."Depots" t',
  '"Back Office".bins': 'select t.tenant_id, t.depot_tenant as key from "Back Office".bins t',
  people: 'select t.tenant_id, t.tenant as key from people t',
  projects: 'select t.tenant_id, p.tenant as key from projects t join people p on p.id = t.lead',
  notes:
    'select t.tenant_id, coalesce(p.tenant, q.tenant) as key from notes t left join projects j on j.id = t.project_id left join people p on p.id = j.lead left join people q on q.id = t.person_id',
  events: 'select t.tenant_id, p.tenant as key from events t join people p on p.id = t.person_id',
  pings: 'select t.tenant_id, p.tenant as key from pings t join people p on p.id = t.person_id',
  project_people: 'select t.tenant_id, p.tenant as key from project_people t join people p on p.id = t.person_id',
  tickets:
    'select t.tenant_id, p.tenant as key from tickets t join projects j on j.id = t.project_id join people p on p.id = j.lead',
};

async function wrongTenants(db: TestDatabase): Promise<string[]> {
  const wrong: string[] = [];
  for (const [table, text] of Object.entries(truth)) {
    const [row] = await db.query<{ n: number }>(
      `select count(*)::int as n from (${text}) r where r.tenant_id is distinct from (select o.id from tenantry.organizations o where o.key = r.key)`,
    );
    if (row!.n > 0) wrong.push(`${table}: ${row!.n}`);
  }
  return wrong;
}

let db: TestDatabase;
let pool: pg.Pool;
let before: string;
beforeAll(async () => {
  db = await createTestDatabase();
  pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
  await db.query(schema);
  await analyzeHost(db);
  before = await dumpSchema(db.admin);
});
afterAll(async () => {
  await pool.end();
  await db.drop();
});

describe('schemas as they are found', () => {
  test('composite keys, circles, partitions, odd names and tables without a key are classified', async () => {
    const { plan, conflicts } = await createAdopt({ adminPool: pool }).plan({ root: 'public."Tenants; drop"' });
    expect(conflicts).toEqual([]);
    expect(
      Object.fromEntries(plan.tables.map((t) => [t.table, [t.class, t.via.map((k) => k.columns.join()).join('|')]])),
    ).toEqual({
      'public."Tenants; drop"': ['root', ''],
      '"Back Office"."Depots"': ['owned', 'Tenant'],
      '"Back Office".bins': ['owned', 'depot_tenant,depot_no'],
      'public.events': ['owned', 'person_id'],
      'public.notes': ['owned', 'person_id|project_id'],
      'public.people': ['owned', 'tenant'],
      'public.pings': ['owned', 'person_id'],
      'public.project_people': ['join', 'person_id'],
      'public.projects': ['owned', 'lead'],
      'public.tickets': ['owned', 'project_id'],
    });
    expect(plan.tables.find((t) => t.table === 'public.events')?.leaves.length).toBe(3);
    expect(plan.tables.find((t) => t.table === 'public.notes')?.required).toBe('never');
  });

  test('E2, E3: they go to enforced and back, and the columns of the application are not touched', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan, file } = await adopt.plan({ root: 'public."Tenants; drop"' });
    expect((await adopt.plan(file)).plan.steps).toEqual(plan.steps);
    await adopt.run(plan, { to: 'backfill' });
    expect(await wrongTenants(db)).toEqual([]);
    // the trigger that counts changes slept for the backfill, and for it alone
    expect(await db.query('select max(changed) as most from tickets')).toEqual([{ most: 0 }]);
    await db.query('update tickets set project_id = project_id where id = (select min(id) from tickets)');
    expect(await db.query('select max(changed) as most from tickets')).toEqual([{ most: 1 }]);
    expect((await adopt.run(null)).phase).toBe('enforced');
    expect(await wrongTenants(db)).toEqual([]);
    const app = new pg.Client({ connectionString: db.appUrl });
    await app.connect();
    const [c] = await db.query<{ id: string }>(`select id from tenantry.organizations where key = 'c'`);
    await app.query("select set_config('app.tenant_id', $1, false)", [c!.id]);
    expect(
      (await app.query('select count(*)::int as n, count(distinct tenant)::int as tenants from people')).rows,
    ).toEqual([{ n: 25, tenants: 1 }]);
    expect((await app.query('select count(*)::int as n from events')).rows).toEqual([{ n: 125 }]);
    await expect(app.query(`insert into people (tenant) values ('e')`)).rejects.toMatchObject({ code: '23503' });
    await app.end();
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
  });

  test('F2: what the old application writes gets its tenant, whichever way it writes it', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public."Tenants; drop"' });
    for (const to of ['expand', 'backfill', 'tighten'] as const) {
      await adopt.run(to === 'expand' ? plan : null, { to });
      // a new root row, with what hangs on it, in one statement
      await db.query(
        `with t as (insert into "Tenants; drop" values ($1, 'New') returning "Key"),
              p as (insert into people (tenant) select "Key" from t returning id),
              j as (insert into projects (lead) select id from p returning id, lead)
         insert into notes (project_id, body) select id, 'first' from j`,
        [`new ${to}`],
      );
      await db.query(
        `insert into events (person_id, at, kind) select id, '2026-02-02', 'a' from people where tenant = $1`,
        [`new ${to}`],
      );
      // a key that only a trigger knows
      await db.query('insert into tickets (project_id) values (null)');
      // a root row written again by an upsert is no second organization
      await db.query(`insert into "Tenants; drop" values ($1, 'Again') on conflict ("Key") do nothing`, [`new ${to}`]);
      // a person moves to another tenant, and takes along what hangs on it
      await db.query(
        `update people set tenant = 'e' where id = (select min(id::text)::uuid from people where tenant = $1)`,
        [`new ${to}`],
      );
      // a tenant's key changes
      await db.query(`update "Tenants; drop" set "Key" = $2 where "Key" = $1`, [`new ${to}`, `renamed ${to}`]);
      // a parent goes, and its key in the child becomes null
      await db.query(
        `update notes set project_id = null where id = (select min(id) from notes where project_id is not null and person_id is not null)`,
      );
      // written where the session's path leads elsewhere
      await db.query(
        `set search_path = "Back Office"; insert into public.pings (person_id) select min(id::text)::uuid from public.people; reset search_path`,
      );
      if (to !== 'expand') expect(await wrongTenants(db), to).toEqual([]);
    }
    await expect(
      db.query(
        `insert into projects (lead, tenant_id) select (select id from people where tenant = 'c' limit 1), (select id from tenantry.organizations where key = 'e')`,
      ),
    ).rejects.toMatchObject({ code: '23514' });
    await expect(
      db.query(
        `update projects set tenant_id = (select id from tenantry.organizations where key = 'e') where lead in (select id from people where tenant = 'c')`,
      ),
    ).rejects.toMatchObject({ code: '23514' });
    await expect(
      db.query(
        `update "Tenants; drop" set tenant_id = (select id from tenantry.organizations where key = 'e') where "Key" = 'c'`,
      ),
    ).rejects.toMatchObject({ code: '23514' });
    expect(await db.query(`select key from tenantry.organizations where key like 'renamed%' order by 1`)).toEqual([
      { key: 'renamed backfill' },
      { key: 'renamed expand' },
      { key: 'renamed tighten' },
    ]);
    expect(await adopt.verify()).toEqual([]);
    expect((await adopt.undo()).differences).toEqual([]);
  });

  test('the backfill reads the pages of its window alone, and F4: a tenant’s rows come by the index', async () => {
    const adopt = createAdopt({ adminPool: pool });
    const { plan } = await adopt.plan({ root: 'public."Tenants; drop"' });
    await adopt.run(plan, { to: 'expand' });
    const step = plan.steps.find((s) => s.kind === 'backfill' && s.table === 'public.tickets');
    const text = step?.up[0]?.text ?? '';
    const explained = await db.query<{ 'QUERY PLAN': string }>(
      `explain ${text.replaceAll('$1::bigint', '0::bigint').replaceAll('$2::bigint', '1::bigint').replaceAll('$3::int', '8').replaceAll('$4::bigint', '1::bigint')}`,
    );
    expect(explained.map((row) => row['QUERY PLAN']).join('\n')).toContain('Tid Range Scan on tickets');
    await adopt.run(null);
    const app = new pg.Client({ connectionString: db.appUrl });
    await app.connect();
    await app.query("set enable_seqscan = off; select set_config('app.tenant_id', gen_random_uuid()::text, false)");
    const listed = await app.query<{ 'QUERY PLAN': string }>('explain select * from tickets order by id limit 50');
    expect(listed.rows.map((row) => row['QUERY PLAN']).join('\n')).toMatch(/Index Cond: \(tenant_id = /);
    await app.end();
    await adopt.undo();
  });
});
