import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { ensureLogin } from '../../database/logins.ts';
import { migrateUp } from '../../database/migrate.ts';
import { ident } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import { createIsolation } from '../../isolation/index.ts';
import type { Command } from '../command.ts';

const configText = `import { defineConfig } from 'tenantry';

// DATABASE_URL is the application's login, TENANTRY_ADMIN_URL the one that migrates, TENANTRY_OPERATOR_URL an operator's.
// Without DATABASE_URL, Tenantry starts its own PostgreSQL in .tenantry/.
export default defineConfig({
  max: 10,
  // pooler: 'transaction', // behind PgBouncer in transaction mode
  // missingContext: 'count', // while an existing application is being adopted
});
`;

const exampleText = `// Run: node tenantry.example.mjs [TENANT]
import { createPool, openEmbedded, withTenant } from 'tenantry';

// DATABASE_URL is the application's login; without it, the database that Tenantry keeps in .tenantry/
const embedded = process.env.DATABASE_URL ? undefined : await openEmbedded();
const pool = createPool({ connectionString: process.env.DATABASE_URL ?? embedded?.appUrl });
const tenantId = process.argv[2] ?? '00000000-0000-7000-8000-000000000000';

await withTenant({ tenantId }, async () => {
  const { rows } = await pool.query('select tenantry.current_tenant() as tenant');
  console.log(rows); // whatever runs in here sees this tenant's rows and no others
});
await pool.end();
await embedded?.server.stop();
`;

export const initCommand: Command = {
  name: 'init',
  summary: 'Set a project up: configuration, schema, example, the application’s login.',
  description:
    'Writes tenantry.config.ts and tenantry.example.mjs where they are absent, applies the migrations, and makes\n' +
    'the login of DATABASE_URL a plain member of tenantry_app. Safe to repeat: files that exist are left as they are.',
  examples: [
    'tenantry init',
    'TENANTRY_ADMIN_URL=postgresql://owner@db/app DATABASE_URL=postgresql://web@db/app tenantry init',
    'TENANTRY_APP_PASSWORD=… tenantry init --app-login web',
  ],
  options: {
    'app-login': {
      type: 'string',
      value: 'NAME',
      help: 'Create this login for the application; its password is read from TENANTRY_APP_PASSWORD.',
    },
    'no-files': { type: 'boolean', help: 'Write no files.' },
  },
  async run(input) {
    const { terminal } = input;
    const { schema, strictBinding = process.env['NODE_ENV'] !== 'production' } = await input.config();
    const login = input.option('app-login');
    const password = process.env['TENANTRY_APP_PASSWORD'];
    if (login !== undefined && (password === undefined || password.length < 12)) {
      throw new TenantryError(
        'TNT_USAGE',
        '--app-login needs a password of at least 12 characters in TENANTRY_APP_PASSWORD.',
        {
          hint: 'Set the variable; a password in an argument would be visible to others.',
        },
      );
    }

    const database = await input.database();
    const admin = database.admin();
    const applied = await migrateUp(admin, { schema });
    const strict = await createIsolation({ admin, schema }).strictBinding(strictBinding);
    const files = input.flag('no-files') ? [] : await writeFiles();

    const runtime = login ?? decodeURIComponent(new URL(database.appUrl).username);
    const migrator = decodeURIComponent(new URL(database.adminUrl).username);
    if (login !== undefined && password !== undefined)
      await ensureLogin(admin, { name: login, password, group: 'tenantry_app' });
    else if (runtime !== migrator && !database.embedded) await admin.query(`grant tenantry_app to ${ident(runtime)}`);

    terminal.line(
      `${terminal.paint('good', 'schema')}   ${schema}: ${applied.length === 0 ? 'up to date' : `${applied.length} migrations applied`}`,
    );
    terminal.line(
      `${terminal.paint('good', 'strict')}   ${strict ? 'a statement without a tenant is an error' : 'a statement without a tenant finds no rows'}`,
    );
    for (const file of files) terminal.line(`${terminal.paint('good', 'wrote')}    ${file}`);
    terminal.line(
      `${terminal.paint('good', 'login')}    ${runtime} ${runtime === migrator ? '' : 'is a member of tenantry_app'}`.trimEnd(),
    );
    if (runtime === migrator && !database.embedded) {
      terminal.note(
        `${terminal.paint('warn', 'warning')} The application would run as ${migrator}, who owns the database: policies do not bind an owner.\n` +
          '        Create a login for it: TENANTRY_APP_PASSWORD=… tenantry init --app-login web',
      );
    }
    terminal.line();
    terminal.line('Next: tenantry seed            a personal organization to try things with');
    terminal.line('      tenantry protect TABLE   a table of yours under tenancy');
    terminal.line('      tenantry adopt inspect   an existing database: what hangs on what');
    terminal.line('      tenantry doctor          what still lets a tenant through');
    terminal.result({
      schema,
      applied: applied.map(({ id, name }) => ({ id, name })),
      files,
      login: runtime,
      strictBinding: strict,
    });
  },
};

async function writeFiles(): Promise<string[]> {
  const written: string[] = [];
  for (const [name, text] of [
    ['tenantry.config.ts', configText],
    ['tenantry.example.mjs', exampleText],
  ] as const) {
    try {
      await writeFile(name, text, { flag: 'wx' });
      written.push(name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
  const ignored = await readFile('.gitignore', 'utf8').catch(() => '');
  if (!ignored.split('\n').some((line) => line.trim().replace(/\/$/, '') === '.tenantry')) {
    await appendFile('.gitignore', `${ignored === '' || ignored.endsWith('\n') ? '' : '\n'}.tenantry/\n`);
    written.push('.gitignore');
  }
  return written;
}
