import { migrateDown, migrateUp, migrationScript, migrationStatus } from '../../database/migrate.ts';
import { listMigrations } from '../../database/migrations.ts';
import { TenantryError } from '../../errors.ts';
import type { Command } from '../command.ts';

const sqlOption = {
  sql: { type: 'boolean', help: 'Print the SQL and change nothing: for Drizzle, Prisma, Knex or psql.' },
} as const;

const up: Command = {
  name: 'migrate up',
  summary: "Apply Tenantry's own migrations that are missing.",
  description: 'Each migration is one transaction. Run again, or by many at once, it changes nothing.',
  examples: [
    'tenantry migrate up',
    'tenantry migrate up --sql > tenantry.sql',
    'DATABASE_URL=postgresql://… tenantry migrate up --json',
  ],
  options: { ...sqlOption, to: { type: 'string', value: 'ID', help: 'Stop after this migration.' } },
  async run(input) {
    const { schema } = await input.config();
    const to = input.number('to');
    if (input.flag('sql')) {
      const wanted = listMigrations(schema).filter(({ id }) => id <= (to ?? Number.POSITIVE_INFINITY));
      input.terminal.line(migrationScript(wanted, schema, 'up'));
      input.terminal.result({ sql: migrationScript(wanted, schema, 'up') });
      return;
    }
    const database = await input.database();
    const applied = await migrateUp(database.admin(), { schema, ...(to === undefined ? {} : { to }) });
    printDone(input.terminal, 'applied', applied);
  },
};

const down: Command = {
  name: 'migrate down',
  summary: 'Take the newest migration back, or several.',
  examples: ['tenantry migrate down', 'tenantry migrate down --steps 2', 'tenantry migrate down --to 0 --yes'],
  options: {
    ...sqlOption,
    steps: { type: 'string', value: 'N', help: 'How many. Defaults to 1.' },
    to: { type: 'string', value: 'ID', help: 'Down to this migration; 0 removes everything.' },
    yes: { type: 'boolean', short: 'y', help: 'Confirm: the tables of these migrations are dropped with their rows.' },
  },
  async run(input) {
    const { schema } = await input.config();
    const to = input.number('to');
    const steps = input.number('steps');
    if (input.flag('sql')) {
      const wanted = listMigrations(schema).filter(({ id }) => id > (to ?? 0));
      input.terminal.line(migrationScript(wanted, schema, 'down'));
      input.terminal.result({ sql: migrationScript(wanted, schema, 'down') });
      return;
    }
    if (!input.flag('yes')) {
      throw new TenantryError('TNT_USAGE', 'Going down drops tables with their rows.', {
        hint: 'Repeat with --yes, or look first: --sql',
      });
    }
    const database = await input.database();
    const done = await migrateDown(database.admin(), {
      schema,
      ...(to === undefined ? {} : { to }),
      ...(steps === undefined ? {} : { steps }),
    });
    printDone(input.terminal, 'taken back', done);
  },
};

const status: Command = {
  name: 'migrate status',
  summary: 'Show which migrations are applied.',
  examples: ['tenantry migrate status', 'tenantry migrate status --json'],
  async run(input) {
    const { schema } = await input.config();
    const database = await input.database();
    const rows = await migrationStatus(database.admin(), { schema });
    input.terminal.table(
      ['id', 'migration', 'applied'],
      rows.map((row) => [
        String(row.id).padStart(4, '0'),
        row.name,
        row.appliedAt?.toISOString() ?? (row.edited ? 'edited' : 'no'),
      ]),
    );
    input.terminal.result(rows);
    return rows.some((row) => row.appliedAt === undefined || row.edited) ? 3 : 0;
  },
};

function printDone(
  terminal: Parameters<Command['run']>[0]['terminal'],
  verb: string,
  done: readonly { id: number; name: string }[],
): void {
  for (const { id, name } of done)
    terminal.line(`${terminal.paint('good', verb)}  ${String(id).padStart(4, '0')}_${name}`);
  if (done.length === 0) terminal.line('Nothing to do.');
  terminal.result(done.map(({ id, name }) => ({ id, name })));
}

const script: Command = {
  name: 'migrate',
  summary: 'Print all migrations as SQL with --sql, for those who run theirs with another tool.',
  description: 'Subcommands: migrate up, migrate down, migrate status.',
  examples: ['tenantry migrate --sql > tenantry.sql'],
  options: sqlOption,
  async run(input) {
    if (!input.flag('sql'))
      throw new TenantryError('TNT_USAGE', 'Say what to do: up, down, status, or --sql.', {
        hint: 'See: tenantry migrate up --help',
      });
    const { schema } = await input.config();
    const sql = migrationScript(listMigrations(schema), schema, 'up');
    input.terminal.line(sql);
    input.terminal.result({ sql });
  },
};

export const migrateCommands = [up, down, status, script];
