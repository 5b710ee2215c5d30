import { TenantryError } from '../../../errors.ts';
import { createOperatorPool } from '../../../pool/index.ts';
import type { Command, CommandInput } from '../../command.ts';
import { withTenantry } from '../../organization.ts';
import { keyringOf } from './keyring.ts';

function positive(input: CommandInput, name: string): number | undefined {
  const value = input.number(name);
  if (value === 0) throw new TenantryError('TNT_USAGE', `--${name} takes 1 or more.`);
  return value;
}

export const maintainCommand: Command = {
  name: 'vault maintain',
  summary: 'Keep OAuth connections alive, and revoke at providers what they did not take before.',
  description:
    'For a job, every few minutes: refreshes connections that nobody used for a week, asks again for revocations that are due, forgets what was begun and never finished. Needs oauth in tenantry.config.ts. Ends with 3 when a connection got no new tokens or a revocation still waits: the next run tries again.',
  examples: ['tenantry vault maintain', 'tenantry vault maintain --keep-alive 30 --limit 5000 --json'],
  options: {
    'keep-alive': { type: 'string', value: 'DAYS', help: 'Refresh what was not refreshed for so long. Defaults to 7.' },
    limit: { type: 'string', value: 'N', help: 'At most so many of each. Defaults to 500.' },
  },
  async run(input) {
    const keepAliveDays = positive(input, 'keep-alive');
    const limit = positive(input, 'limit');
    const { oauth } = await input.config();
    if (oauth === undefined)
      throw new TenantryError('TNT_CONFIG_INVALID', 'oauth: there are no providers.', {
        hint: 'Put into tenantry.config.ts what createTenantry gets as oauth: providers and redirectUris.',
      });
    const keyring = await keyringOf(input);
    const { operatorUrl, adminUrl } = await input.database();
    const operator = createOperatorPool(operatorUrl ?? adminUrl, { max: 1 });
    operator?.on('error', () => {});
    try {
      // as the application, in the organization and for the user of each connection
      const done = await withTenantry(
        input,
        (t) =>
          t.oauth.maintain({
            ...(keepAliveDays === undefined ? {} : { keepAliveDays }),
            ...(limit === undefined ? {} : { limit }),
          }),
        { login: 'app', operator, oauth, vault: { keyring } },
      );
      const { terminal } = input;
      terminal.line(`${done.refreshed} idle connections have new tokens, ${done.failed} got none`);
      terminal.line(`${done.revoked} revocations came through, ${done.pending} wait`);
      terminal.line(`${done.statesForgotten} ways to a provider were never finished, and are forgotten`);
      terminal.result(done);
      return done.failed + done.pending > 0 ? 3 : 0;
    } finally {
      await operator?.end();
    }
  },
};
