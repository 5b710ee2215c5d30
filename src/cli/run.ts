import { parseArgs } from 'node:util';
import pg from 'pg';
import { type Config, parseConfig } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import { translateDatabaseError } from '../database/database-error.ts';
import { type EmbeddedDatabase, openEmbedded } from '../database/open.ts';
import { TenantryError } from '../errors.ts';
import { version } from '../version.ts';
import { type Command, type CommandDatabase, type CommandInput, commonOptions } from './command.ts';
import { commands } from './commands/index.ts';
import { printCommands, printHelp, printOverview } from './help.ts';
import { createTerminal, type Terminal, type TerminalOptions } from './terminal.ts';

/** Runs one command line and returns its exit code: 0 done, 1 refused or failed, 2 wrong usage, 3 findings, 4 environment. */
export async function runCommandLine(argv: readonly string[], streams: TerminalOptions = {}): Promise<number> {
  const terminal = createTerminal({ ...streams, json: argv.includes('--json') });
  try {
    const words = argv.findIndex((word) => word.startsWith('-'));
    const leading = words === -1 ? argv : argv.slice(0, words);
    if (argv.includes('--version') && leading.length === 0) {
      terminal.line(version);
      terminal.result({ version });
      return 0;
    }
    const command = findCommand(leading);
    if (command === undefined) return overview(terminal, leading, argv);
    return await runOne(command, argv.slice(command.name.split(' ').length), terminal);
  } catch (error) {
    return report(terminal, error);
  }
}

function findCommand(words: readonly string[]): Command | undefined {
  for (let length = Math.min(3, words.length); length > 0; length -= 1) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((candidate) => candidate.name === name);
    if (command !== undefined) return command;
  }
  return undefined;
}

function overview(terminal: Terminal, words: readonly string[], argv: readonly string[]): number {
  const asked = argv.includes('--help') || argv.includes('-h') || argv.length === 0;
  const group = words[0] === undefined ? [] : commands.filter((command) => command.name.startsWith(`${words[0]} `));
  if (group.length > 0 && (asked || words.length === 1)) {
    terminal.line(`Usage: tenantry ${words[0]} COMMAND [options]`);
    terminal.line();
    printCommands(terminal, group);
    return asked ? 0 : 2;
  }
  if (words.length === 0) {
    printOverview(terminal, commands, version);
    return asked ? 0 : 2;
  }
  const near = commands.find((command) => distance(command.name, words.join(' ')) <= 2);
  throw new TenantryError('TNT_USAGE', `There is no command "${words.join(' ')}".`, {
    hint: near === undefined ? 'List the commands with: tenantry --help' : `Did you mean: tenantry ${near.name}`,
  });
}

async function runOne(command: Command, rest: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parse(command, rest);
  if (values['help'] === true) {
    printHelp(terminal, command);
    return 0;
  }
  const [least, most] = command.positionals ?? [0, 0];
  if (positionals.length < least || positionals.length > most) {
    const said =
      positionals.length < least ? 'An argument is missing' : `There is an argument too many: "${positionals[most]}"`;
    throw new TenantryError('TNT_USAGE', `${said}. Usage: tenantry ${command.name} ${command.usage ?? ''}`.trim());
  }
  const interrupt = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => {
    if (interrupt.signal.aborted) process.exit(130); // asked twice: at once
    interrupt.abort(new TenantryError('TNT_INTERRUPTED', `Interrupted by ${signal}.`));
  };
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  const resources = createResources(values);
  try {
    return (await command.run(createInput(values, positionals, terminal, interrupt.signal, resources))) ?? 0;
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    await resources.close();
  }
}

type Values = Record<string, string | boolean | (string | boolean)[] | undefined>;

function parse(command: Command, rest: readonly string[]): { values: Values; positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, ...commonOptions }).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }), ...(multiple === undefined ? {} : { multiple }) },
    ]),
  );
  try {
    return parseArgs({ args: [...rest], options, allowPositionals: true, strict: true });
  } catch (error) {
    const said = error instanceof Error ? (error.message.split('. ')[0] ?? error.message) : String(error);
    throw new TenantryError('TNT_USAGE', `${said.replace(/\.$/, '')}.`, {
      hint: `See: tenantry ${command.name} --help`,
    });
  }
}

interface Resources {
  config(): Promise<Config>;
  database(): Promise<CommandDatabase>;
  close(): Promise<void>;
}

/** What commands open, opened once and closed at the end. */
function createResources(values: Values): Resources {
  const text = (name: string): string | undefined => (typeof values[name] === 'string' ? values[name] : undefined);
  let config: Promise<Config> | undefined;
  let embedded: EmbeddedDatabase | undefined;
  let pool: pg.Pool | undefined;
  const readConfig = async (): Promise<Config> => {
    const file = text('config');
    const loaded = await loadConfig(file === undefined ? {} : { file });
    const url = text('database-url');
    return url === undefined
      ? loaded
      : parseConfig({ ...loaded, databaseUrl: url, adminUrl: url }, {}, '--database-url');
  };
  const resources: Resources = {
    config: () => (config ??= readConfig()),
    async database() {
      const { databaseUrl, adminUrl, operatorUrl, schema, embedded: options } = await resources.config();
      let urls: { adminUrl: string; appUrl: string; operatorUrl: string | undefined };
      if (databaseUrl === undefined) {
        const { port, ...rest } = options;
        embedded ??= await openEmbedded({ ...rest, ...(port === undefined ? {} : { port }), schema });
        urls = embedded;
      } else {
        urls = { adminUrl: adminUrl ?? databaseUrl, appUrl: databaseUrl, operatorUrl };
      }
      return {
        adminUrl: urls.adminUrl,
        appUrl: urls.appUrl,
        operatorUrl: urls.operatorUrl,
        embedded: embedded !== undefined,
        admin: () => (pool ??= openPool(urls.adminUrl)),
      };
    },
    async close() {
      await pool?.end();
      await embedded?.server.stop();
    },
  };
  return resources;
}

function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 8, connectionTimeoutMillis: 15_000, application_name: 'tenantry' });
  pool.on('error', () => {}); // an idle connection that ends is replaced at the next use
  return pool;
}

function createInput(
  values: Values,
  positionals: readonly string[],
  terminal: Terminal,
  signal: AbortSignal,
  resources: Resources,
): CommandInput {
  const option = (name: string): string | undefined => (typeof values[name] === 'string' ? values[name] : undefined);
  return {
    terminal,
    positionals,
    signal,
    flag: (name) => values[name] === true,
    option,
    options(name) {
      const value = values[name];
      return Array.isArray(value) ? value.map(String) : [];
    },
    number(name) {
      const value = option(name);
      if (value === undefined) return undefined;
      if (!/^\d+$/.test(value)) throw new TenantryError('TNT_USAGE', `--${name} takes a whole number.`);
      return Number(value);
    },
    config: () => resources.config(),
    database: () => resources.database(),
  };
}

/** A URL that was given in the wrong place is repeated by messages about it: without what it holds in secret. */
function withoutPasswords(text: string): string {
  return text
    .replace(/(\b[a-z][a-z\d+.-]*:\/\/[^\s/:@"]*:)[^\s"]*(?=@)/gi, '$1***')
    .replace(/([?&]password=)[^\s&"]*/gi, '$1***');
}

/** One clear line with the code, and one with the next step. */
function report(terminal: Terminal, thrown: unknown): number {
  const translated = translateDatabaseError(thrown);
  const error =
    translated instanceof TenantryError
      ? translated
      : new TenantryError('TNT_INTERNAL', translated instanceof Error ? translated.message : String(translated), {
          cause: translated,
        });
  if (terminal.json) terminal.result(JSON.parse(withoutPasswords(JSON.stringify({ error: error.toJSON() }))));
  else {
    terminal.note(`${terminal.paint('bad', 'error')} ${error.code}: ${withoutPasswords(error.message)}`);
    terminal.note(`${terminal.paint('dim', 'next')}  ${error.hint}`);
  }
  if (error.code === 'TNT_INTERNAL' && process.env['TENANTRY_DEBUG'] !== undefined)
    terminal.note(withoutPasswords(String(error.cause instanceof Error ? error.cause.stack : '')));
  return error.exitCode;
}

/** Levenshtein distance, for "did you mean". */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
