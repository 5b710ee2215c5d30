import { TenantryError } from '../../../errors.ts';
import type { DamagedValue, RotationProgress, RunOptions } from '../../../vault/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import { keygenCommand } from './keygen.ts';
import { rotationOf } from './keyring.ts';
import { maintainCommand } from './maintain.ts';

/** Progress on standard error, one line per second at most. */
function runOptions(input: CommandInput): RunOptions {
  let last = 0;
  const batch = input.number('batch');
  if (batch === 0) throw new TenantryError('TNT_USAGE', '--batch takes 1 or more.');
  return {
    signal: input.signal,
    ...(batch === undefined ? {} : { batch }),
    onProgress({ step, done }: RotationProgress) {
      if (Date.now() - last < 1000) return;
      last = Date.now();
      input.terminal.note(`${step}: ${done}`);
    },
  };
}

function printDamaged(input: CommandInput, damaged: readonly DamagedValue[]): void {
  for (const { tenantId, table, row } of damaged.slice(0, 100))
    input.terminal.line(`${input.terminal.paint('bad', 'damaged')} ${table} row ${row} of organization ${tenantId}`);
  if (damaged.length > 100) input.terminal.line(`… and ${damaged.length - 100} more`);
}

const status: Command = {
  name: 'vault status',
  summary: 'Show which keys wrap data keys, and what a rotation has still to do.',
  description: 'Ends with 3 when a data key is wrapped by a key that the key ring does not hold.',
  examples: ['tenantry vault status', 'tenantry vault status --json'],
  async run(input) {
    const { terminal } = input;
    const found = await (await rotationOf(input)).status();
    terminal.line(`current key: ${found.current}`);
    terminal.table(
      ['key', 'data keys', 'organizations', 'in the key ring'],
      found.keys.map((key) => [key.keyId, `${key.dataKeys}`, `${key.organizations}`, key.held ? 'yes' : 'NO']),
    );
    for (const { table, values } of found.stale)
      if (values > 0) terminal.line(`${values} values of ${table} stand under a replaced data key.`);
    for (const { tenantId, startedAt } of found.open)
      terminal.line(
        `A rotation of ${tenantId ?? 'every organization'} began at ${startedAt.toISOString()} and is not finished: tenantry vault rotate --data-keys${tenantId === null ? '' : ` --tenant ${tenantId}`}`,
      );
    if (found.keys.some((key) => key.keyId !== found.current))
      terminal.line('Data keys under other keys than the current one: tenantry vault rotate');
    terminal.result(found);
    return found.keys.some((key) => !key.held) ? 3 : 0;
  },
};

const rotate: Command = {
  name: 'vault rotate',
  summary: 'Wrap every data key with the current key; with --data-keys, replace them too.',
  description:
    'Safe while the application runs, if its key ring holds the old and the new key. Killed or interrupted, run it again: it goes on. docs/guides/vault.md has the order of steps.',
  examples: [
    'tenantry vault rotate',
    'tenantry vault rotate --data-keys',
    'tenantry vault rotate --data-keys --tenant 0198c7a0-0000-7000-8000-000000000001',
  ],
  options: {
    'data-keys': { type: 'boolean', help: 'Also make new data keys and encrypt every value anew: after a leak.' },
    tenant: { type: 'string', value: 'ID', help: 'With --data-keys: this organization alone.' },
    batch: { type: 'string', value: 'N', help: 'Rows per statement. Defaults to 500.' },
  },
  async run(input) {
    const tenantId = input.option('tenant');
    if (tenantId !== undefined && !input.flag('data-keys'))
      throw new TenantryError('TNT_USAGE', '--tenant goes with --data-keys: wrapping anew is for all.');
    const rotation = await rotationOf(input);
    const options = runOptions(input);
    const { rewrapped } = await rotation.rewrap(options);
    input.terminal.line(`${rewrapped} data keys wrapped with the current key`);
    if (!input.flag('data-keys')) {
      input.terminal.result({ rewrapped });
      return 0;
    }
    const done = await rotation.rotateDataKeys({ ...options, ...(tenantId === undefined ? {} : { tenantId }) });
    if (done.resumed) input.terminal.line('went on with a rotation that was not finished');
    input.terminal.line(`${done.dataKeys} new data keys, ${done.values} values encrypted anew`);
    printDamaged(input, done.damaged);
    input.terminal.result({ rewrapped, ...done });
    return done.damaged.length > 0 ? 3 : 0;
  },
};

const verify: Command = {
  name: 'vault verify',
  summary: 'Open every value of every organization, and list those that do not open.',
  description: 'Prints no value. Ends with 3 when one does not open.',
  examples: ['tenantry vault verify', 'tenantry vault verify --json'],
  async run(input) {
    const { values, damaged } = await (await rotationOf(input)).verify(runOptions(input));
    printDamaged(input, damaged);
    input.terminal.line(`${values} values, ${damaged.length} damaged`);
    input.terminal.result({ values, damaged });
    return damaged.length > 0 ? 3 : 0;
  },
};

const prune: Command = {
  name: 'vault prune',
  summary: 'Delete replaced data keys under which nothing stands any more.',
  description:
    'Backups made before then need them: prune when those have expired. Name sealed columns of your own tables under vault.columns first.',
  examples: ['tenantry vault prune'],
  async run(input) {
    const done = await (await rotationOf(input)).prune();
    input.terminal.line(`${done.deleted} data keys deleted, ${done.kept} still in use`);
    input.terminal.result(done);
  },
};

export const vaultCommands: readonly Command[] = [keygenCommand, status, rotate, verify, prune, maintainCommand];
