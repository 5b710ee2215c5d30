import { type Command, commonOptions, type OptionSpec } from './command.ts';
import type { Terminal } from './terminal.ts';

export function printOverview(terminal: Terminal, commands: readonly Command[], version: string): void {
  const { line, paint } = terminal;
  line(`${paint('bold', 'tenantry')} ${version} — makes a PostgreSQL application multi-tenant and keeps it so.`);
  line();
  line('Usage: tenantry COMMAND [options]');
  line();
  printCommands(terminal, commands);
  line();
  line('Each command explains itself: tenantry COMMAND --help');
  line('Database: DATABASE_URL, or the embedded PostgreSQL in .tenantry/ when it is not set.');
}

export function printCommands({ line }: Terminal, commands: readonly Command[]): void {
  const width = Math.max(...commands.map((command) => command.name.length));
  for (const command of commands) line(`  ${command.name.padEnd(width)}  ${command.summary}`);
}

export function printHelp({ line, paint }: Terminal, command: Command): void {
  line(`${paint('bold', `tenantry ${command.name}`)} — ${command.summary}`);
  line();
  line(`Usage: tenantry ${command.name}${command.usage === undefined ? '' : ` ${command.usage}`} [options]`);
  if (command.description !== undefined) {
    line();
    line(command.description);
  }
  line();
  line('Options:');
  const rows = Object.entries({ ...command.options, ...commonOptions }).map(
    ([name, spec]) => [optionText(name, spec), spec.help] as const,
  );
  const width = Math.max(...rows.map(([text]) => text.length));
  for (const [text, help] of rows) line(`  ${text.padEnd(width)}  ${help}`);
  line();
  line('Examples:');
  for (const example of command.examples) line(`  ${paint('accent', example)}`);
}

function optionText(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  return `${short}--${name}${spec.type === 'string' ? ` ${spec.value ?? 'VALUE'}` : ''}`;
}
