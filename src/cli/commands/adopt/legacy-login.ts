import { createLegacyLogins } from '../../../adopt/index.ts';
import { assertMigrated } from '../../../database/migrate.ts';
import { TenantryError } from '../../../errors.ts';
import type { Command } from '../../command.ts';

export const legacyLoginCommand: Command = {
  name: 'adopt legacy-login',
  usage: '[NAME]',
  summary: 'Let a login of an old application go on as one tenant, without a context; without NAME: list them.',
  description:
    'The login sees and writes the rows of that organization alone, also after enforcement. It is as trusted as its application: SQL that it sends can name another tenant. Undo removes it.',
  examples: [
    'tenantry adopt legacy-login shop_v1 --organization auresta',
    'tenantry adopt legacy-login shop_v1 --remove',
    'tenantry adopt legacy-login',
  ],
  options: {
    organization: { type: 'string', value: 'SLUG', help: 'The organization that it works for.' },
    remove: { type: 'boolean', help: 'Its statements need a context again.' },
  },
  positionals: [0, 1],
  async run(input) {
    const { terminal } = input;
    const [name] = input.positionals;
    const organization = input.option('organization');
    const { schema } = await input.config();
    const admin = (await input.database()).admin();
    await assertMigrated(admin, { schema });
    const logins = createLegacyLogins(admin, schema);
    if (name === undefined) {
      if (organization !== undefined || input.flag('remove'))
        throw new TenantryError('TNT_USAGE', 'Say which login: tenantry adopt legacy-login NAME.');
      const declared = await logins.list();
      terminal.result(declared);
      if (declared.length === 0) terminal.line('No legacy login is declared.');
      else
        terminal.table(
          ['login', 'organization', 'declared by', 'on'],
          declared.map((one) => [
            one.login,
            one.organization,
            one.declaredBy,
            one.declaredAt.toISOString().slice(0, 10),
          ]),
        );
      return;
    }
    if ((organization !== undefined) === input.flag('remove'))
      throw new TenantryError('TNT_USAGE', 'Use either --organization SLUG or --remove.');
    if (organization === undefined) {
      await logins.remove(name);
      terminal.line(`${terminal.paint('good', 'removed')} ${name}: its statements need a context again`);
      terminal.result({ removed: name });
      return;
    }
    const made = await logins.declare(name, organization);
    terminal.line(`${terminal.paint('good', 'declared')} ${made.login}: it is ${made.organization} in every session`);
    terminal.result(made);
  },
};
