import { renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import { createIsolation } from '../../isolation/index.ts';
import type { Command } from '../command.ts';

const operations = ['select', 'insert', 'update', 'delete'] as const;

export const explainCommand: Command = {
  name: 'isolation explain',
  usage: 'TABLE KEY=VALUE…',
  summary: 'Say why a row is or is not visible, or a write refused, for a context.',
  description:
    'Reads the row with the migrating login, whosever it is. Exit code 3 when the answer is hidden, refused or absent.',
  examples: [
    'tenantry isolation explain public.orders id=42 --tenant 0198c7a0-0000-7000-8000-000000000001',
    'tenantry isolation explain public.orders id=42 --tenant 0198c7a0-0000-7000-8000-000000000001 --operation update --login web',
  ],
  positionals: [2, 33],
  options: {
    tenant: { type: 'string', value: 'ID', help: 'The organization of the context.' },
    user: { type: 'string', value: 'ID', help: 'The user of the context.' },
    'tenant-key': { type: 'string', value: 'KEY', help: 'The organization’s key in host tables.' },
    operation: { type: 'string', value: 'OPERATION', help: 'select, insert, update or delete. Defaults to select.' },
    login: { type: 'string', value: 'NAME', help: 'Who asks. Defaults to tenantry_app.' },
  },
  async run(input) {
    const { terminal } = input;
    const [table = '', ...pairs] = input.positionals;
    const asked = input.option('operation') ?? 'select';
    const operation = operations.find((known) => known === asked);
    if (operation === undefined)
      throw new TenantryError('TNT_USAGE', `--operation must be one of: ${operations.join(', ')}.`);
    const { schema } = await input.config();
    const tenantId = input.option('tenant');
    const userId = input.option('user');
    const tenantKey = input.option('tenant-key');
    const login = input.option('login');
    const admin = (await input.database()).admin();
    if (tenantId !== undefined) {
      const { rowCount } = await admin.query(
        renderSchema('select from tenantry.organizations where id::text = lower($1::text)', schema),
        [tenantId],
      );
      if (rowCount === 0)
        throw new TenantryError('TNT_TENANT_UNKNOWN', `--tenant: there is no organization ${tenantId}.`);
    }
    const answer = await createIsolation({ admin, schema }).explain({
      table,
      key: keyOf(pairs),
      operation,
      context: {
        ...(tenantId === undefined ? {} : { tenantId }),
        ...(userId === undefined ? {} : { userId }),
        ...(tenantKey === undefined ? {} : { tenantKey }),
      },
      ...(login === undefined ? {} : { login }),
    });
    const ok = answer.verdict === 'allowed' || answer.verdict === 'counted';
    terminal.line(
      `${terminal.paint(ok ? 'good' : 'bad', answer.verdict)}  ${answer.operation} on ${answer.table} (${answer.mode})`,
    );
    for (const { passes, sentence } of answer.findings)
      terminal.line(`  ${passes ? terminal.paint('good', '✓') : terminal.paint('bad', '✗')} ${sentence}`);
    terminal.result(answer);
    return ok ? 0 : 3;
  },
};

function keyOf(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      if (at < 1) throw new TenantryError('TNT_USAGE', `"${pair}" is not of the form COLUMN=VALUE.`);
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
}
