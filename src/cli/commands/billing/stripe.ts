import { TenantryError } from '../../../errors.ts';
import type { StripePush, StripePushOptions } from '../../../metering/stripe/index.ts';
import type { CommandInput } from '../../command.ts';
import { loadOptional } from '../../optional.ts';
import { asOperator, forOrganization } from './shared.ts';

/**
 * Runs `fn` with the way to Stripe, of the organization of --organization or of all.
 *
 * @throws TNT_USAGE when there is no key
 */
export async function withStripe<T>(
  input: CommandInput,
  settings: Omit<StripePushOptions, 'stripe'>,
  fn: (push: StripePush, tenantId: string | undefined) => Promise<T>,
): Promise<T> {
  const key = process.env['STRIPE_SECRET_KEY'] ?? '';
  if (key === '') {
    throw new TenantryError('TNT_USAGE', 'STRIPE_SECRET_KEY is not set: the key is read from the environment alone.');
  }
  const { default: Stripe } = await loadOptional(() => import('stripe'), 'stripe');
  const { createStripePush } = await import('../../../metering/stripe/index.ts');
  const run = (t: Parameters<typeof createStripePush>[0], tenantId?: string): Promise<T> =>
    fn(createStripePush(t, { stripe: new Stripe(key, address()), ...settings }), tenantId);
  return input.option('organization') === undefined ? asOperator(input, (t) => run(t)) : forOrganization(input, run);
}

/** STRIPE_API_BASE names another server than Stripe's: a proxy, or a mock for tests. */
function address(): { host?: string; port?: number; protocol?: 'http' | 'https' } {
  const base = process.env['STRIPE_API_BASE'];
  if (base === undefined || base === '') return {};
  const { hostname, port, protocol } = new URL(base);
  const http = protocol === 'http:';
  return { host: hostname, port: Number(port) || (http ? 80 : 443), protocol: http ? 'http' : 'https' };
}

/** What failed goes to standard error, and makes the exit code 1. */
export function report<T extends { readonly failed: readonly { readonly id: string; readonly error: unknown }[] }>(
  input: CommandInput,
  { failed, ...rest }: T,
): number {
  const problems = failed.map(({ id, error }) => ({
    id,
    error: error instanceof Error ? error.message : String(error),
  }));
  for (const { id, error } of problems) input.terminal.note(`${id}: ${error}`);
  input.terminal.result({ ...rest, failed: problems });
  return problems.length === 0 ? 0 : 1;
}
