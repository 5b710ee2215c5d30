import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../../src/cli/commands/index.ts';
import { parseMoment } from '../../src/cli/moment.ts';
import { compileSources } from '../isolation/compiled.ts';
import { tenantry } from '../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

describe('the command without a database', () => {
  it('prints an overview, a group and its version', async () => {
    const overview = await tenantry([]);
    expect(overview.code).toBe(0);
    for (const { name } of commands) expect(overview.out).toContain(name);
    expect((await tenantry(['isolation', '--help'])).out).toContain('isolation shadow on');
    expect((await tenantry(['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('ends without a word when its reader has read enough', async () => {
    const { folder } = await compileSources();
    const child = spawn(process.execPath, [join(folder, 'cli', 'main.js'), '--help']);
    child.stdout.destroy();
    let said = '';
    child.stderr.on('data', (text: Buffer) => {
      said += text.toString();
    });
    const code = await new Promise((done) => child.once('close', done));
    expect({ code, said }).toEqual({ code: 141, said: '' });
  });

  it.each(commands.map((command) => [command.name, command] as const))(
    'explains %s with examples that parse',
    async (name, command) => {
      const { code, out } = await tenantry([...name.split(' '), '--help']);
      expect(code).toBe(0);
      expect(out).toContain('Examples:');
      for (const example of command.examples) {
        expect(example).toContain(`tenantry ${name}`);
        for (const [, option] of example.matchAll(/\s--([a-z-]+)/g)) {
          expect([...Object.keys(command.options ?? {}), 'json', 'config', 'database-url'], example).toContain(option);
        }
      }
    },
  );

  it.each([
    [['migrat', 'up'], 'Did you mean: tenantry migrate up'],
    [['migrate', 'up', '--nope'], 'tenantry migrate up --help'],
    [['protect'], 'An argument is missing'],
    [['migrate', 'status', 'extra'], 'argument too many'],
    [['migrate', 'up', '--to', 'x'], 'whole number'],
  ])('answers %j with one line and the next step', async (argv, said) => {
    const { code, out, err } = await tenantry(argv);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain('TNT_USAGE');
    expect(err).toContain(said);
    expect(err.trim().split('\n')).toHaveLength(2);
  });

  it('answers errors as JSON under --json, and says when the server is away or the login wrong', async () => {
    const { code, out } = await tenantry(['migrate', 'up', '--json'], {
      DATABASE_URL: 'postgresql://nobody:hunter2@127.0.0.1:1/none',
    });
    expect(code).toBe(4);
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'TNT_SERVER_UNREACHABLE', hint: expect.any(String) } });
    expect(out).not.toContain('hunter2');
    expect((await tenantry(['migrate', 'up'], { DATABASE_URL: 'mysql://x' })).err).toContain('TNT_CONFIG_INVALID');
  });

  it('reads moments with a zone, and refuses one without', () => {
    expect(parseMoment('window', '2h', 7_200_000)).toEqual(new Date(0));
    expect(parseMoment('window', '2026-11-22T08:00+02:00')).toEqual(new Date('2026-11-22T06:00Z'));
    expect(() => parseMoment('window', '2026-11-22')).toThrow(/zone/);
  });
});

describe('the command on a database', () => {
  let db: TestDatabase;
  let environment: Record<string, string>;
  beforeAll(async () => {
    db = await createTestDatabase({ migrated: false });
    environment = { DATABASE_URL: db.appUrl, TENANTRY_ADMIN_URL: db.adminUrl, TENANTRY_OPERATOR_URL: db.operatorUrl };
  });
  afterAll(() => db.drop());
  const run = (line: string) => tenantry(line.split(' '), environment);

  it('D1, D6: sets up, seeds and asserts the counts; run again it changes nothing', async () => {
    expect((await run('migrate status')).code).toBe(3);
    expect((await run('init --no-files')).code).toBe(0);
    expect((await run('migrate status')).code).toBe(0);
    expect((await run('migrate up')).out).toContain('Nothing to do.');
    const first = JSON.parse((await run('seed --email ann@example.com --json')).out);
    expect(first).toMatchObject({
      created: true,
      counts: { personalOrganizations: 1, members: 1, personalWorkspaces: 1 },
    });
    const second = JSON.parse((await run('seed --email ann@example.com --json')).out);
    expect(second).toEqual({ ...first, created: false });
  });

  it('works the same under strict binding: a user without an organization yet has a context', async () => {
    expect((await run('isolation strict on')).out).toContain('strict binding: on');
    expect((await run('seed --email bob@example.com')).err).toBe('');
    expect((await run('isolation strict off')).out).toContain('strict binding: off');
  });

  it('protects a table, walks it through the modes, and finds the doctor content', async () => {
    await db.query('create table notes (id bigint generated always as identity primary key, title text not null)');
    const sql = await run('protect notes --sql');
    expect(sql.out).toContain('create policy');
    expect((await db.query(`select relrowsecurity r from pg_class where relname = 'notes'`))[0]).toEqual({ r: false });
    expect((await run('protect notes')).code).toBe(0);
    for (const [line, mode] of [
      ['isolation off public.notes', 'off'],
      ['isolation shadow on public.notes', 'shadow'],
      ['isolation shadow report --table public.notes', 'shadow'],
      ['isolation enforce public.notes', 'enforced'],
    ] as const) {
      const result = await run(line);
      expect(result.code, `${line}: ${result.err}`).toBe(0);
      const rows = JSON.parse((await run('isolation status --json')).out) as {
        table: string;
        mode: string;
        drift: string[];
      }[];
      expect(rows.find((row) => row.table === 'public.notes')).toMatchObject({ mode, drift: [] });
    }
    const doctor = JSON.parse((await run('doctor --json')).out) as { findings: { level: string; key: string }[] };
    expect(doctor.findings.filter(({ level }) => level === 'error')).toEqual([]);
  });

  it('explains a row for its tenant and for another', async () => {
    const { tenantId } = JSON.parse((await run('seed --email cat@example.com --json')).out) as { tenantId: string };
    const other = JSON.parse((await run('seed --email dan@example.com --json')).out) as { tenantId: string };
    const [note] = await db.query<{ id: string }>(
      `insert into notes (tenant_id, title) values ($1, 'x') returning id`,
      [tenantId],
    );
    const own = await run(`isolation explain public.notes id=${note!.id} --tenant ${tenantId}`);
    expect([own.code, own.out.split(' ')[0]]).toEqual([0, 'allowed']);
    const foreign = await run(`isolation explain public.notes id=${note!.id} --tenant ${other.tenantId}`);
    expect([foreign.code, foreign.out.split(' ')[0]]).toEqual([3, 'hidden']);
    expect((await run(`isolation explain public.notes id`)).code).toBe(2);
  });

  it('makes, lists and shows organizations; names an unknown tenant, an invalid slug and a taken one', async () => {
    const make = (slug: string) => run(`organizations create --name Acme --slug ${slug} --admin ann@example.com`);
    expect((await make('acme')).code).toBe(0);
    const taken = await make('acme');
    expect([taken.code, taken.err]).toEqual([1, expect.stringContaining('TNT_SLUG_TAKEN')]);
    const invalid = await make('Acme_1');
    expect([invalid.code, invalid.err]).toEqual([2, expect.stringMatching(/TNT_INPUT_INVALID.*slug/)]);
    expect(invalid.err.trim().split('\n')).toHaveLength(2);
    expect((await run('organizations list')).out).toContain('acme');
    expect(JSON.parse((await run('organizations show acme --json')).out)).toMatchObject({ slug: 'acme', members: 1 });
    const unknown = await run('organizations show nobody');
    expect([unknown.code, unknown.err]).toEqual([1, expect.stringContaining('TNT_TENANT_UNKNOWN')]);
    const other = await run('isolation explain public.notes id=1 --tenant 0198c7a0-0000-7000-8000-000000000009');
    expect(other.err).toContain('TNT_TENANT_UNKNOWN');
  });

  it('names a table that another tool changed, and one that does not exist', async () => {
    await db.query('alter table notes disable row level security');
    const status = await run('isolation status');
    expect(status.code).toBe(3);
    expect(status.out).toContain('row-level security is disabled');
    expect((await run('doctor --level error')).code).toBe(3);
    await run('protect notes');
    expect((await run('isolation status')).code).toBe(0);
    expect((await run('isolation enforce public.nothing')).err).toContain('TNT_TABLE_UNKNOWN');
  });
});
