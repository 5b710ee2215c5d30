import { counted } from '../../counted.ts';
import { TenantryError } from '../../errors.ts';
import { createIsolation, type Isolation, type MissStatus } from '../../isolation/index.ts';
import type { Command, CommandInput } from '../command.ts';
import { parseMoment } from '../moment.ts';

async function isolationOf(input: CommandInput): Promise<Isolation> {
  const { schema } = await input.config();
  return createIsolation({ admin: (await input.database()).admin(), schema });
}

/** The tables of the command line; `--all` means every protected one. */
async function tablesOf(input: CommandInput, isolation: Isolation): Promise<readonly string[]> {
  if (!input.flag('all')) {
    if (input.positionals.length === 0) throw new TenantryError('TNT_USAGE', 'Name a table, or use --all.');
    return input.positionals;
  }
  if (input.positionals.length > 0) throw new TenantryError('TNT_USAGE', 'Name tables or use --all, not both.');
  return (await isolation.status()).map(({ table }) => table);
}

const all = { all: { type: 'boolean', help: 'Every protected table.' } } as const;
const window = {
  window: {
    type: 'string',
    value: 'WHEN',
    help: 'Look back to: 30m, 24h, 7d, or a time such as 2026-11-22T08:00Z. Defaults to when shadow began.',
  },
} as const;

const status: Command = {
  name: 'isolation status',
  summary: 'Show every protected table: mode, owner, what shadow has counted, drift.',
  examples: ['tenantry isolation status', 'tenantry isolation status --json'],
  async run(input) {
    const { terminal } = input;
    const rows = await (await isolationOf(input)).status();
    terminal.table(
      ['table', 'mode', 'since', 'column', 'owner', 'confirmed', 'examined', 'drift'],
      rows.map((row) => [
        row.table,
        row.mode,
        row.since.toISOString(),
        `${row.column} ${row.keyType}`,
        `${row.owner ?? '?'}${row.forced ? ' (forced)' : ''}`,
        String(row.misses.confirmed),
        String(row.misses.examined + row.misses.unconfirmed),
        row.drift.join('; ') || '-',
      ]),
    );
    if (rows.length === 0) terminal.line('No table is protected yet: tenantry protect TABLE');
    terminal.result(rows);
    return rows.some((row) => row.drift.length > 0) ? 3 : 0;
  },
};

const report: Command = {
  name: 'isolation shadow report',
  summary: 'List the statements that enforcement would change, with their call sites.',
  examples: [
    'tenantry isolation shadow report',
    'tenantry isolation shadow report --table orders --status confirmed --window 24h',
  ],
  options: {
    ...window,
    table: { type: 'string', value: 'TABLE', help: 'Only this table.' },
    status: { type: 'string', value: 'STATUS', help: 'confirmed, examined or unconfirmed.' },
  },
  async run(input) {
    const { terminal } = input;
    const status = input.option('status');
    if (status !== undefined && !isMissStatus(status))
      throw new TenantryError('TNT_USAGE', '--status must be confirmed, examined or unconfirmed.');
    const table = input.option('table');
    const since = parseMoment('window', input.option('window'));
    const rows = await (await isolationOf(input)).shadowReport({
      ...(table === undefined ? {} : { table }),
      ...(status === undefined ? {} : { status }),
      ...(since === undefined ? {} : { since }),
    });
    for (const row of rows) {
      terminal.line(
        `${terminal.paint(row.status === 'confirmed' ? 'bad' : 'warn', row.status)}  ${row.operation} on ${row.table}  ${terminal.paint('bold', row.callSite || '(not through the pool)')}`,
      );
      terminal.line(`  ${row.statement}`);
      terminal.line(
        terminal.paint(
          'dim',
          `  ${counted(row.occurrences, 'time')}, ${counted(row.rows, 'row')}, tenant ${row.tenantId ?? '(no context)'}, ${row.firstSeen.toISOString()} to ${row.lastSeen.toISOString()}, ${row.fingerprint}`,
        ),
      );
    }
    terminal.line(
      rows.length === 0
        ? 'Nothing: enforcement would change no statement that was seen.'
        : `${counted(rows.length, 'kind')} of statement.`,
    );
    terminal.result(rows);
    return rows.some((row) => row.status === 'confirmed') ? 3 : 0;
  },
};

const shadow: Command = {
  name: 'isolation shadow on',
  usage: 'TABLE…',
  summary: 'Rehearse: nothing is hidden or refused, and what would be is counted.',
  examples: ['tenantry isolation shadow on public.orders', 'tenantry isolation shadow on --all'],
  positionals: [0, 1000],
  options: {
    ...all,
    'keep-owner': { type: 'boolean', help: 'The table keeps its owner, and row-level security is forced.' },
  },
  async run(input) {
    const isolation = await isolationOf(input);
    for (const table of await tablesOf(input, isolation))
      await isolation.shadow(table, { keepOwner: input.flag('keep-owner') });
    return printModes(input, isolation);
  },
};

const enforce: Command = {
  name: 'isolation enforce',
  usage: 'TABLE…',
  summary: 'Hide other tenants’ rows and refuse writes of them. Refused while shadow has confirmed misses.',
  examples: [
    'tenantry isolation enforce public.orders',
    'tenantry isolation enforce --all --window 24h',
    'tenantry isolation enforce orders --force',
  ],
  positionals: [0, 1000],
  options: {
    ...all,
    ...window,
    force: { type: 'boolean', help: 'Enforce although statements were confirmed that it changes.' },
  },
  async run(input) {
    const isolation = await isolationOf(input);
    const since = parseMoment('window', input.option('window'));
    for (const table of await tablesOf(input, isolation)) {
      await isolation.enforce(table, { force: input.flag('force'), ...(since === undefined ? {} : { since }) });
    }
    return printModes(input, isolation);
  },
};

const off: Command = {
  name: 'isolation off',
  usage: 'TABLE…',
  summary: 'Switch policies off; they stay, and can be switched on again.',
  examples: ['tenantry isolation off public.orders', 'tenantry isolation off public.orders --restore-owner'],
  positionals: [0, 1000],
  options: {
    ...all,
    'restore-owner': {
      type: 'boolean',
      help: 'Also give the table back to its owner, with its grants, and remove the policies.',
    },
  },
  async run(input) {
    const isolation = await isolationOf(input);
    for (const table of await tablesOf(input, isolation))
      await isolation.off(table, { restoreOwner: input.flag('restore-owner') });
    return printModes(input, isolation);
  },
};

const strict: Command = {
  name: 'isolation strict',
  usage: '[on|off]',
  summary: 'Whether a statement without a tenant is an error, or finds no rows.',
  examples: ['tenantry isolation strict', 'tenantry isolation strict on'],
  positionals: [0, 1],
  async run(input) {
    const [wanted] = input.positionals;
    if (wanted !== undefined && wanted !== 'on' && wanted !== 'off')
      throw new TenantryError('TNT_USAGE', 'Say on or off.');
    const strictBinding = await (await isolationOf(input)).strictBinding(
      wanted === undefined ? undefined : wanted === 'on',
    );
    input.terminal.line(
      `strict binding: ${strictBinding ? 'on: a statement without a tenant is an error' : 'off: a statement without a tenant finds no rows'}`,
    );
    input.terminal.result({ strictBinding });
  },
};

async function printModes(input: CommandInput, isolation: Isolation): Promise<void> {
  const rows = await isolation.status();
  input.terminal.table(
    ['table', 'mode', 'since'],
    rows.map((row) => [row.table, row.mode, row.since.toISOString()]),
  );
  input.terminal.result(rows);
}

function isMissStatus(text: string): text is MissStatus {
  return ['confirmed', 'examined', 'unconfirmed'].includes(text);
}

export const isolationCommands = [status, shadow, report, enforce, off, strict];
