import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { migrateUp } from '../../src/database/migrate.ts';
import { checkFiles } from '../../src/generated/checks.ts';
import {
  createDoctor,
  exitCodeOf,
  planFixes,
  renderHuman,
  renderSarif,
  runFixes,
} from '../../src/isolation/doctor/index.ts';
import { kernelExceptions } from '../../src/isolation/doctor/kernel-exceptions.ts';
import { observe } from '../../src/isolation/doctor/probes/pooler.ts';
import { checks } from '../../src/isolation/doctor/registry.ts';
import { createPool } from '../../src/pool/index.ts';
import { createTestDatabase } from '../support/database.ts';
import { type CaseDatabase, createCaseDatabase } from './case-database.ts';
import { correctSetup } from './cases/index.ts';
import { codeCaseKeys, codeCases, multiplexed } from './code-cases.ts';

describe.each(Object.entries(codeCases))('%s', (code, run) => {
  test('finds the flaw and is silent on the fixed twin', async () => {
    const place = await createCaseDatabase();
    try {
      const { broken, fixed } = await run(place);
      expect(broken.sort()).toEqual([...(codeCaseKeys[code] ?? [])].sort());
      expect(fixed).toEqual([]);
    } finally {
      await place.drop();
    }
  });
});

describe('doctor on a correct application', () => {
  let place: CaseDatabase;
  beforeAll(async () => {
    place = await createCaseDatabase();
    await place.run(correctSetup);
  });
  afterAll(() => place.drop());

  test('reports nothing, and so the kernel is clean under its own checks', async () => {
    const report = await place.examine();
    expect(report.findings).toEqual([]);
    expect(exitCodeOf(report, 'info')).toBe(0);
    expect(report.login).toBe(place.login);
    expect(Math.floor(report.server.number / 10_000)).toBe(place.database.version);
  });

  test('asks every check, except those about the run itself', async () => {
    const { checks: outcomes } = await place.examine();
    expect(outcomes.map(({ code }) => code)).toEqual(
      checks.filter(({ scope }) => scope !== 'doctor').map(({ code }) => code),
    );
    expect(outcomes.filter(({ outcome }) => outcome !== 'silent')).toEqual([]);
  });

  test('says which checks it could not make without the migrating login and a second connection', async () => {
    const app = new pg.Client({ connectionString: place.database.appUrl });
    await app.connect();
    try {
      const { checks: outcomes } = await createDoctor({
        app: { query: (text, values) => app.query(text, values && [...values]) },
      }).run();
      const skipped = outcomes.filter(({ outcome }) => outcome === 'skipped');
      expect(skipped.map(({ code }) => code)).toEqual(['TD035', 'TD037']);
      for (const { reason } of skipped) expect(reason).not.toBe('');
    } finally {
      await app.end();
    }
  });

  test.each(Object.entries(checkFiles))('%s is one reading statement with the row of every check', async (_, text) => {
    const client = await place.database.admin.connect();
    try {
      await client.query('begin read only');
      // a named statement: PostgreSQL refuses several commands in one
      const { fields } = await client.query({ name: 'check', text, values: [] });
      expect(fields.map(({ name }) => name)).toEqual(['object', 'level', 'detail', 'fix', 'statement', 'key']);
    } finally {
      await client.query('rollback');
      client.release(true);
    }
  });

  test('forgives the kernel nothing that is no longer there', async () => {
    const known = Object.keys(kernelExceptions);
    for (const key of known) {
      const [, table, index] = key.split(':');
      expect(
        await place.database.query(
          'select from pg_indexes where schemaname || $1 || tablename = $2 and indexname = $3',
          ['.', table, index],
        ),
      ).toHaveLength(1);
    }
  });
});

describe('doctor on a neglected application', () => {
  let place: CaseDatabase;
  beforeAll(async () => {
    place = await createCaseDatabase();
    await place.run(`${correctSetup};
      grant all on public.orders to tenantry_app;
      grant temporary on database :database to public;
      alter table public.customers disable row level security;
      alter table public.customers drop column name;
      create view public.everything as select * from public.orders;
      grant select on public.everything to tenantry_app`);
  });
  afterAll(() => place.drop());

  test('sorts findings by gravity and gives each a page', async () => {
    const { findings } = await place.examine();
    expect(findings.map(({ key }) => key)).toEqual([
      'TD005:public.customers',
      'TD011:public.everything',
      'TD018:public.orders:tenantry_app',
      `TD040:${place.database.name}`,
    ]);
    for (const { code, docs } of findings) expect(docs).toBe(`docs/checks/${code}.md`);
  });

  test('finds the same keys again, each once', async () => {
    const keys = async () => (await place.examine()).findings.map(({ key }) => key);
    const first = await keys();
    expect(new Set(first).size).toBe(first.length);
    expect(await keys()).toEqual(first);
  });

  test('over a superuser says above all that, and fails in no check', async () => {
    const app = new pg.Pool({ connectionString: place.database.superuserUrl, max: 2 });
    try {
      const { findings } = await createDoctor({ app, admin: place.database.admin }).run();
      expect(findings[0]?.code).toBe('TD001');
      expect(findings.filter(({ code }) => code === 'TD000')).toEqual([]);
    } finally {
      await app.end();
    }
  });

  test('answers 3 from the chosen level on', async () => {
    const report = await place.examine({ only: ['TD040'] });
    expect(exitCodeOf(report, 'error')).toBe(0);
    expect(exitCodeOf(report, 'warn')).toBe(3);
    expect(exitCodeOf(report, 'info')).toBe(3);
  });

  test('sets aside what is suppressed, until its last day and under its whole key', async () => {
    const entry = { key: `TD040:${place.database.name}`, reason: 'the import needs them', until: '2026-12-31' };
    const before = await place.examine({ only: ['TD040'], ignore: [entry], today: '2026-12-31' });
    expect(before.findings).toEqual([]);
    expect(before.suppressed).toEqual([expect.objectContaining({ reason: entry.reason, until: entry.until })]);
    const after = await place.examine({ only: ['TD040'], ignore: [entry], today: '2027-01-01' });
    expect(after.findings.map(({ code }) => code)).toEqual(['TD040', 'TD048']);
    const partial = await place.examine({ only: ['TD040'], ignore: [{ key: 'TD040', reason: 'all of them' }] });
    expect(partial.findings.map(({ code }) => code)).toEqual(['TD040']);
  });

  test('repairs what is safe and leaves the rest to a person', async () => {
    const { findings } = await place.examine();
    const plan = planFixes([...findings, ...findings]);
    expect(plan.map(({ text }) => text)).toEqual([
      'alter table public.customers enable row level security',
      'revoke references, trigger, truncate on public.orders from tenantry_app',
    ]);
    const outcomes = await runFixes(place.database.admin, [{ text: 'select 1 / 0', purpose: 'refused' }, ...plan]);
    expect(outcomes.map(({ error }) => error?.message)).toEqual(['division by zero', undefined, undefined]);
    const after = await place.examine();
    expect(after.findings.map(({ code }) => code)).toEqual(['TD011', 'TD040']);
  });

  test('renders for people and for code scanning', async () => {
    const report = await place.examine();
    expect(renderHuman(report).join('\n')).toContain(`login ${place.login}`);
    expect(renderSarif(report).runs[0]?.results).toHaveLength(report.findings.length);
  });
});

test('doctor on a database without Tenantry names that first and still looks at the login', async () => {
  const database = await createTestDatabase({ migrated: false });
  const app = new pg.Pool({ connectionString: database.appUrl, max: 2 });
  try {
    const report = await createDoctor({ app, schema: 'tenantry' }).run();
    expect(report.findings.map(({ key }) => key)).toEqual(['TD042:missing', `TD040:${database.name}`]);
    expect(report.checks.find(({ code }) => code === 'TD007')).toMatchObject({ outcome: 'skipped' });
    expect(report.checks.find(({ code }) => code === 'TD001')).toMatchObject({ outcome: 'silent' });
  } finally {
    await app.end();
    await database.drop();
  }
});

test('doctor examines a kernel under another schema name', async () => {
  const database = await createTestDatabase({ migrated: false });
  const app = new pg.Pool({ connectionString: database.appUrl, max: 2 });
  try {
    await migrateUp(database.admin, { schema: 'tenancy_kernel' });
    await database.query(`revoke temporary on database ${database.name} from public`);
    const report = await createDoctor({ app, admin: database.admin, schema: 'tenancy_kernel' }).run();
    expect(report.findings).toEqual([]);
    await database.query('alter table tenancy_kernel.teams disable row level security');
    const broken = await createDoctor({ app, schema: 'tenancy_kernel' }).run();
    expect(broken.findings.map(({ key }) => key)).toEqual(['TD009:tenancy_kernel.teams']);
  } finally {
    await app.end();
    await database.drop();
  }
});

test('the pooler probe leaves no setting behind', async () => {
  const database = await createTestDatabase();
  const backend = new pg.Client({ connectionString: database.appUrl });
  await backend.connect();
  try {
    const pool = multiplexed(backend);
    expect(await observe(await pool.connect(), await pool.connect())).toEqual({ shared: true, bled: true });
    const { rows } = await backend.query("select current_setting('tenantry.doctor_probe', true) as value");
    expect(rows).toEqual([{ value: '' }]);
  } finally {
    await backend.end();
    await database.drop();
  }
});

test('doctor without a server says that, and nothing about checks', async () => {
  const app = new pg.Pool({ connectionString: 'postgresql://app@127.0.0.1:1/none' });
  await expect(createDoctor({ app }).run()).rejects.toMatchObject({ code: 'TNT_SERVER_UNREACHABLE' });
  await app.end();
});

test('a login with one connection to spare is not asked about a pooler either', async () => {
  const place = await createCaseDatabase();
  try {
    await place.run('alter role :login connection limit 1', 'superuser');
    const { checks: outcomes } = await place.examine({ only: ['TD037', 'TD001'] });
    expect(outcomes).toMatchObject([
      { code: 'TD001', outcome: 'silent' },
      { code: 'TD037', outcome: 'skipped' },
    ]);
  } finally {
    await place.drop();
  }
});

test('a pool of one connection is not asked about a pooler, and gets its connection back', async () => {
  const database = await createTestDatabase();
  const app = new pg.Pool({ connectionString: database.appUrl, max: 1 });
  try {
    const { checks: outcomes } = await createDoctor({ app, only: ['TD037'] }).run();
    expect(outcomes).toMatchObject([{ code: 'TD037', outcome: 'skipped' }]);
    expect((await app.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  } finally {
    await app.end();
    await database.drop();
  }
});

test.each([{}, { multiplex: { connections: 2 } }])(
  'doctor over the tenant pool itself, which has no context here: %j',
  async (options) => {
    const database = await createTestDatabase();
    const app = createPool({ connectionString: database.appUrl, max: 3, ...options });
    try {
      const report = await createDoctor({ app, admin: database.admin }).run();
      expect(report.findings.map(({ key }) => key)).toEqual([`TD040:${database.name}`]);
      expect(report.checks.filter(({ outcome }) => outcome === 'skipped')).toEqual([]);
    } finally {
      await app.end();
      await database.drop();
    }
  },
);
