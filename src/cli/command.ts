import type pg from 'pg';
import type { Config } from '../config/config.ts';
import type { Terminal } from './terminal.ts';

export interface OptionSpec {
  readonly type: 'boolean' | 'string';
  readonly help: string;
  readonly short?: string;
  /** Name of the value in the help text: `--to ID`. */
  readonly value?: string;
  readonly multiple?: boolean;
}

/** The database that a command works on, and its logins. */
export interface CommandDatabase {
  readonly adminUrl: string;
  readonly appUrl: string;
  readonly operatorUrl: string | undefined;
  /** The migrating login; opened on first use, closed after the command. */
  admin(): pg.Pool;
  /** True when it is the embedded server. */
  readonly embedded: boolean;
}

export interface CommandInput {
  readonly terminal: Terminal;
  readonly positionals: readonly string[];
  /** Aborts on Ctrl-C: leave things resumable. */
  readonly signal: AbortSignal;
  flag(name: string): boolean;
  option(name: string): string | undefined;
  options(name: string): readonly string[];
  /** A whole number of an option. @throws TNT_USAGE */
  number(name: string): number | undefined;
  config(): Promise<Config>;
  database(): Promise<CommandDatabase>;
}

/** One command: thin. It opens, calls one library function, prints. The number it returns is the exit code. */
export interface Command {
  /** With its group: `isolation shadow on`. */
  readonly name: string;
  readonly summary: string;
  /** What stands behind the name in the usage line. */
  readonly usage?: string;
  readonly description?: string;
  readonly examples: readonly string[];
  readonly options?: Readonly<Record<string, OptionSpec>>;
  /** Smallest and largest number of positional arguments. Defaults to none. */
  readonly positionals?: readonly [number, number];
  run(input: CommandInput): Promise<number | void>;
}

export const commonOptions: Readonly<Record<string, OptionSpec>> = {
  help: { type: 'boolean', short: 'h', help: 'Show this help.' },
  json: { type: 'boolean', help: 'Print the result as JSON on standard output.' },
  config: { type: 'string', value: 'FILE', help: 'Configuration file. Defaults to tenantry.config.ts in this folder.' },
  'database-url': {
    type: 'string',
    value: 'URL',
    help: 'Database to work on. Better in DATABASE_URL: arguments are visible to others.',
  },
};
