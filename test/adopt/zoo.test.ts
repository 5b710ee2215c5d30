import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt, dumpSchema, type Phase, type Plan } from '../../src/adopt/index.ts';
import { labelsOf } from '../../src/adopt/graph.ts';
import { ident } from '../../src/database/sql.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type Shape, shapes } from './zoo/shapes.ts';
import { analyzeHost } from './support/analyze.ts';
import { ownDump } from './support/own-dump.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const fileOf = (name: string): string => fileURLToPath(new URL(`./zoo/${name}.sql`, import.meta.url));

/** Every row of a table with its tenant and the one that the hand-written query derives: the tables where they differ. */
async function wrongTenants(db: TestDatabase, shape: Shape): Promise<string[]> {
  const wrong: string[] = [];
  for (const [table, text] of Object.entries(shape.model)) {
    const [row] = await db.query<{ wrong: number; rows: number; all: number }>(
      `with r as (${text})
       select (select count(*)::int from r where r.tenant_id is distinct from (select o.id from tenantry.organizations o where o.key = r.key)
                 or (r.key is not null and r.tenant_id is null)) as wrong,
              (select count(*)::int from r) as rows, (select count(*)::int from ${table}) as all`,
    );
    if (row!.wrong > 0 || row!.rows !== row!.all)
      wrong.push(`${table}: ${row!.wrong} of ${row!.rows}, ${row!.all} in all`);
  }
  return wrong;
}

/** What the application's own columns hold, table by table. */
async function digest(
  db: TestDatabase,
  columns: ReadonlyMap<string, readonly string[]>,
): Promise<Record<string, unknown>> {
  const digests: Record<string, unknown> = {};
  for (const [table, names] of columns) {
    const row = `row(${names.map((name) => `t.${ident(name)}`).join(', ')})::text`;
    [digests[table]] = await db.query(
      `select count(*)::int as rows, md5(string_agg(${row}, '|' order by ${row})) as digest from ${table} t`,
    );
  }
  return digests;
}

/** What the old application writes between the phases; it knows of nothing. */
async function write(db: TestDatabase, shape: Shape, n: number): Promise<void> {
  const client = new pg.Client({ connectionString: db.adminUrl });
  await client.connect();
  try {
    for (const text of shape.writes) {
      await client.query(text.replaceAll(/(?<!:):n\b/g, String(n))).catch((error: Error) => {
        throw new Error(`${shape.name}: ${text}: ${error.message}`);
      });
    }
  } finally {
    await client.end();
  }
}

const phasesBefore = ['expand', 'backfill', 'verify', 'tighten', 'shadow'] as const satisfies readonly Phase[];

/**
 * From which phases a schema is taken back whole. Each goes back phase by phase from enforced as well, so one of them in turn is
 * enough for every day; TENANTRY_TEST_EVERY_PHASE=1 asks for all.
 */
function undoneFrom(shape: Shape): readonly (typeof phasesBefore)[number][] {
  if (process.env['TENANTRY_TEST_EVERY_PHASE'] !== undefined) return phasesBefore;
  return phasesBefore.filter((_, i) => i === shapes.indexOf(shape) % phasesBefore.length);
}

for (const shape of shapes) {
  describe(`zoo: ${shape.name}`, () => {
    let db: TestDatabase;
    let pool: pg.Pool;
    beforeAll(async () => {
      db = await createTestDatabase();
      pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
      await db.query(readFileSync(fileOf(shape.name), 'utf8'));
      if (shape.name === 'extension-tables') await joinExtension(db);
      await analyzeHost(db);
    });
    afterAll(async () => {
      await pool.end();
      await db.drop();
    });

    test('E2, E3, E5: goes to enforced with every row’s tenant right, and back to what it was', async () => {
      const adopt = createAdopt({ adminPool: pool });
      const { inspection, references, roots } = await adopt.inspect();
      if (shape.roots !== undefined) expect(roots.map((root) => root.table).toSorted()).toEqual(shape.roots);
      expect(
        references.map(({ from, to, confidence }) => {
          const targets =
            typeof to === 'string'
              ? to
              : Object.entries(to)
                  .map((t) => t.join(': '))
                  .join(', ');
          return `${from} → ${targets} ${confidence}`;
        }),
      ).toEqual(shape.found ?? []);

      const { plan, file, conflicts } = await adopt.plan(shape.decisions);
      expect(conflicts).toEqual([]);
      expect(classesOf(plan, shape)).toEqual(shape.classes);
      for (const { table, reason, confidence } of plan.tables)
        expect([reason === '', confidence], table).toEqual([
          false,
          expect.stringMatching(/^(decided|high|medium|low)$/),
        ]);
      // the file says the same, and saying it again changes nothing
      const again = await adopt.plan(file);
      expect(again.file).toBe(file);
      expect(again.plan.steps).toEqual(plan.steps);

      const before = await dumpSchema(db.admin);
      const theirs = { whole: ownDump(db, 'schema and rows'), schema: ownDump(db, 'schema') };
      const columns = new Map(
        inspection.tables.map((table) => [table.name, table.columns.map((column) => column.name)]),
      );
      let data = await digest(db, columns);
      for (const to of undoneFrom(shape)) {
        await adopt.run(plan, { to });
        expect((await adopt.undo()).differences, `undo from ${to}`).toEqual([]);
        expect(await dumpSchema(db.admin), `undo from ${to}`).toBe(before);
        expect(await digest(db, columns), `rows after undo from ${to}`).toEqual(data);
        expect(ownDump(db, 'schema and rows'), `pg_dump after undo from ${to}`).toBe(theirs.whole);
      }

      const schemas = new Map<Phase, string>();
      const forward = async (to: Phase): Promise<void> => {
        expect((await adopt.run(to === 'expand' ? plan : null, { to })).phase).toBe(to);
        schemas.set(to, await dumpSchema(db.admin));
      };
      await forward('expand');
      expect(await digest(db, columns)).toEqual(data);
      await write(db, shape, 1000);
      data = await digest(db, columns);
      await forward('backfill');
      expect(await digest(db, columns)).toEqual(data);
      expect(await wrongTenants(db, shape), 'after backfill').toEqual([]);
      await write(db, shape, 2000);
      expect(await wrongTenants(db, shape), 'written after backfill').toEqual([]);
      await forward('verify');
      await forward('tighten');
      await write(db, shape, 3000);
      expect(await wrongTenants(db, shape), 'written after tighten').toEqual([]);
      data = await digest(db, columns);
      await forward('shadow');
      await forward('enforced');
      expect(await adopt.verify()).toEqual([]);
      expect(await wrongTenants(db, shape), 'enforced').toEqual([]);
      expect(await seenByTenants(db, shape, plan), 'what tenants see').toEqual([]);

      await writeAsTenant(db, shape);
      expect(await wrongTenants(db, shape), 'written by a tenant').toEqual([]);
      data = await digest(db, columns);

      for (const to of phasesBefore.toReversed()) {
        expect((await adopt.undo({ to })).phase).toBe(to);
        expect(await dumpSchema(db.admin), `back at ${to}`).toBe(schemas.get(to));
        expect(await digest(db, columns), `rows back at ${to}`).toEqual(data);
      }
      expect((await adopt.undo()).differences).toEqual([]);
      expect(await dumpSchema(db.admin)).toBe(before);
      expect(ownDump(db, 'schema')).toBe(theirs.schema);
      expect(await digest(db, columns)).toEqual(data);
    });
  });
}

function classesOf(plan: Plan, { classes }: Shape): Record<string, string> {
  const qualified = Object.keys(classes).some((name) => name.includes('.'));
  return Object.fromEntries(
    plan.tables.map((table) => [
      qualified ? `${table.schema}.${table.name}` : table.name,
      [table.class, labelsOf(table.via).join('|')].filter((part) => part !== '').join(' '),
    ]),
  );
}

/** Each tenant sees its own rows and no other's, through every table and as the unprivileged login. */
async function seenByTenants(db: TestDatabase, { model }: Shape, plan: Plan): Promise<string[]> {
  const client = new pg.Client({ connectionString: db.appUrl });
  await client.connect();
  const faults: string[] = [];
  try {
    for (const { id } of await db.query<{ id: string }>('select id from tenantry.organizations order by key limit 2')) {
      await client.query("select set_config('app.tenant_id', $1, false)", [id]);
      for (const table of plan.order.filter((name) => name.replace(/^public\./, '') in model || name in model)) {
        const seen = (await client.query<{ n: number }>(`select count(*)::int as n from ${table}`)).rows[0]?.n;
        const [own] = await db.query<{ n: number }>(`select count(*)::int as n from ${table} where tenant_id = $1`, [
          id,
        ]);
        if (seen !== own?.n) faults.push(`${table}: ${seen} of ${own?.n}`);
      }
    }
  } finally {
    await client.end();
  }
  return faults;
}

/** The application of tomorrow: the unprivileged login with a tenant. */
async function writeAsTenant(db: TestDatabase, { allowed = [], refused = [] }: Shape): Promise<void> {
  if (allowed.length + refused.length === 0) return;
  const client = new pg.Client({ connectionString: db.appUrl });
  await client.connect();
  try {
    const [first] = await db.query<{ id: string }>('select id from tenantry.organizations order by key limit 1');
    await client.query("select set_config('app.tenant_id', $1, false)", [first?.id]);
    for (const text of allowed) expect((await client.query(text)).rowCount, text).toBe(1);
    for (const text of refused)
      await expect(client.query(text), text).rejects.toMatchObject({
        code: expect.stringMatching(/^(42501|23503|23514)$/),
      });
  } finally {
    await client.end();
  }
}

/** No extension that comes with PostgreSQL brings a table: one becomes a member of plpgsql, as its script would have it. */
async function joinExtension(db: TestDatabase): Promise<void> {
  const superuser = new pg.Client({ connectionString: db.superuserUrl });
  await superuser.connect();
  await superuser.query('alter extension plpgsql add table spatial_notes');
  await superuser.end();
}

test('every schema of the zoo is one that is tried', () => {
  const files = readdirSync(fileURLToPath(new URL('./zoo', import.meta.url))).filter((name) => name.endsWith('.sql'));
  // Django's content types go the same way in findings.test.ts
  expect(files.toSorted()).toEqual([...shapes.map(({ name }) => `${name}.sql`), 'content-types.sql'].toSorted());
});
