import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { csvCell } from '../../../src/csv.ts';
import type { RowFinding } from '../../../src/adopt/index.ts';
import { tenantry } from '../../support/command-line.ts';
import { createSubject, type Subject, tenantsOf } from '../support/subject.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 });

const sales = 2500;
const schema = `
create table shops (code text primary key, name text not null);
create table items (code text primary key, shop text not null references shops);
create table clerks (id int primary key, shop text references shops);
create table sales (at timestamptz, "No" text, item text references items, clerk int references clerks, primary key (at, "No"));
insert into shops values ('=1+1', 'One'), ('b,"c', 'Two');
insert into items select 'i' || n, case when n % 2 = 0 then '=1+1' else 'b,"c' end from generate_series(1, 10) n;
insert into clerks values (1, '=1+1'), (2, 'b,"c'), (3, null);
insert into sales select timestamptz '2026-01-01 00:00+00' + n * interval '1 minute', 'n "' || n, 'i' || (1 + n % 10), 1 + ((n + 1) / 2) % 2 from generate_series(1, ${sales}) n;
insert into sales values ('2026-02-01 00:00+00', 'x', null, 3);
`;

let subject: Subject;
let folder: string;
let environment: Record<string, string>;
beforeAll(async () => {
  subject = await createSubject(schema);
  folder = await mkdtemp(join(tmpdir(), 'tenantry-'));
  environment = { DATABASE_URL: subject.db.adminUrl };
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await subject.drop();
});

const decisions = {
  root: 'public.shops',
  tables: {
    'public.clerks': { class: 'owned' as const, via: ['shop'], orphans: 'quarantine' as const },
    'public.sales': {
      class: 'owned' as const,
      via: ['item'],
      conflicts: 'quarantine' as const,
      orphans: 'organization:found' as const,
    },
  },
};

async function all(findings: AsyncGenerator<readonly RowFinding[]>): Promise<{ rows: RowFinding[]; batches: number }> {
  const rows: RowFinding[] = [];
  let batches = 0;
  for await (const batch of findings) {
    rows.push(...batch);
    batches += 1;
  }
  return { rows, batches };
}

describe('E2: every row that a decision is about', () => {
  test('a CSV field is quoted as RFC 4180 says, and no formula', () => {
    expect(
      [null, '', 'a', 'a,b', 'say "x"', 'two\nlines', ' a', '=1+1', '-5', '-5+1', '@x', '+x', '\tx', '(17)'].map(
        csvCell,
      ),
    ).toEqual([
      '',
      '""',
      'a',
      '"a,b"',
      '"say ""x"""',
      '"two\nlines"',
      '" a"',
      "'=1+1",
      '-5',
      "'-5+1",
      "'@x",
      "'+x",
      "'\tx",
      '(17)',
    ]);
  });

  test('is listed before anything is changed: where each way leads, and what is decided', async () => {
    const { adopt, db } = subject;
    const { plan, conflicts } = await adopt.plan(decisions);
    expect(conflicts).toEqual([]);
    const { rows, batches } = await all(adopt.findings(plan));
    const [counted] = await db.query<{ n: number }>(
      'select count(*)::int as n from sales s join items i on i.code = s.item join clerks c on c.id = s.clerk where c.shop <> i.shop',
    );
    expect(counted!.n).toBeGreaterThan(1000);
    expect(rows.filter((row) => row.kind === 'joins tenants')).toHaveLength(counted!.n);
    expect(batches).toBeGreaterThan(2);
    expect(rows.find((row) => row.kind === 'joins tenants')).toEqual({
      table: 'public.sales',
      kind: 'joins tenants',
      key: '(2026-01-01T00:01:00,"n ""1")',
      way: 'public.sales.item → public.items.shop → public.shops',
      tenant: '=1+1',
      otherWay: 'public.sales.clerk → public.clerks.shop → public.shops',
      otherTenants: 'b,"c',
      decision: 'quarantine',
    });
    expect(rows.filter((row) => row.kind === 'no tenant').map((row) => [row.table, row.key, row.decision])).toEqual([
      ['public.clerks', '(3)', 'quarantine'],
      ['public.sales', '(2026-02-01T00:00:00,x)', 'organization:found'],
    ]);
    // stopping in the middle gives the connection back
    for await (const _ of adopt.findings(plan)) break;
    expect(await db.query(`select 1 from pg_cursors`)).toEqual([]);
  });

  test('the command exports all of them, by the plan and by the data', async () => {
    const { adopt, db } = subject;
    const { plan, file } = await adopt.plan(decisions);
    const { writeFile } = await import('node:fs/promises');
    const planPath = join(folder, 'plan.yaml');
    await writeFile(planPath, file);
    const before = await tenantry(['adopt', 'verify', '--file', planPath, '--csv', '-'], environment);
    expect(before.err).toBe('');
    expect(before.code).toBe(0);
    const lines = before.out.trimEnd().split('\n');
    expect(lines[0]).toBe('table,kind,key,way,tenant,other_way,other_tenants,decision');
    expect(lines).toContain(
      `public.sales,joins tenants,"(2026-01-01T00:01:00,""n """"1"")",public.sales.item → public.items.shop → public.shops,'=1+1,public.sales.clerk → public.clerks.shop → public.shops,"b,""c",quarantine`,
    );
    await adopt.run(plan, { to: 'tighten' });
    const target = join(folder, 'rows.csv');
    const after = await tenantry(['adopt', 'verify', '--csv', target], environment);
    expect(after.code).toBe(0);
    expect(after.out).toContain('wrote');
    const written = (await readFile(target, 'utf8')).trimEnd().split('\n');
    expect(written).toEqual(lines);
    const json = await tenantry(['adopt', 'verify', '--json'], environment);
    const result = JSON.parse(json.out) as {
      findings: unknown[];
      rows: { table: string; rows: number; first: unknown[] }[];
    };
    expect(result.findings).toEqual([]);
    expect(result.rows.map(({ table, rows, first }) => [table, rows > 0, first.length <= 20])).toEqual([
      ['public.clerks', true, true],
      ['public.sales', true, true],
      ['public.sales', true, true],
    ]);
    expect((await tenantry(['adopt', 'verify', '--json', '--csv', '-'], environment)).code).toBe(2);
    const status = (await tenantry(['adopt', 'status'], environment)).out;
    expect(status).toMatch(/ 1,250 rows of public\.sales wait without a tenant\n/);
    expect(status).toMatch(/ 1 row of public\.clerks waits without a tenant\n/);
    expect((await tenantry(['adopt', 'verify'], environment)).out).toContain('public.clerks, no tenant: 1 row (');
    expect(
      await db.query(
        `select o.slug from sales s join tenantry.organizations o on o.id = s.tenant_id where s."No" = 'x'`,
      ),
    ).toEqual([{ slug: 'found' }]);
  });

  test('a released row belongs to its organization, and stays there', async () => {
    const { adopt, db } = subject;
    await adopt.run(null);
    const [{ slug }] = (await db.query<{ slug: string }>(
      `select slug from tenantry.organizations where key = '=1+1'`,
    )) as [{ slug: string }];
    const key = '(2026-01-01T00:01:00,"n ""1")';
    const released = await tenantry(
      ['adopt', 'release', 'public.sales', key, '(nobody)', '--organization', slug],
      environment,
    );
    expect(released.code).toBe(3);
    expect(released.out).toContain('released 1 row of public.sales');
    expect(released.err).toContain('(nobody)');
    expect((await tenantsOf(db, 'sales', '"No"'))['n "1']).toBe('=1+1');
    // the session's time zone says nothing about its key
    await db.query(
      `set timezone = 'Asia/Tokyo'; update sales set tenant_id = null where "No" = 'n "1'; reset timezone`,
    );
    expect((await tenantsOf(db, 'sales', '"No"'))['n "1']).toBe('=1+1');
    expect(await adopt.verify()).toEqual([]);
    expect(await adopt.release({ table: 'public.clerks', keys: 'all', organization: slug })).toEqual({
      released: 1,
      missing: [],
    });
    expect((await tenantsOf(db, 'clerks'))['3']).toBe('=1+1');
    expect(await adopt.verify()).toEqual([]);
    await expect(adopt.release({ table: 'public.items', keys: 'all', organization: slug })).rejects.toMatchObject({
      code: 'TNT_PLAN_INVALID',
    });
    await expect(adopt.release({ table: 'public.sales', keys: 'all', organization: 'none' })).rejects.toMatchObject({
      code: 'TNT_NOT_FOUND',
    });
    expect((await tenantry(['adopt', 'release', 'public.sales'], environment)).code).toBe(2);
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await db.query(`select 1 from tenantry.organizations`)).toEqual([]);
  });
});
