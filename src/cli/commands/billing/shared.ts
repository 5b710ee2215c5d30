import { withTenant } from '../../../context/index.ts';
import { TenantryError } from '../../../errors.ts';
import { decimalAmount, type PlannedInvoice } from '../../../metering/billing/index.ts';
import { createOperatorPool } from '../../../pool/index.ts';
import type { Tenantry } from '../../../tenantry.ts';
import type { CommandInput } from '../../command.ts';
import { organizationIds, withTenantry } from '../../organization.ts';

/** The services with the operator's connection, or the migrating login where none was configured. Closed after `fn`. */
export async function asOperator<T>(input: CommandInput, fn: (t: Tenantry) => Promise<T>): Promise<T> {
  const { operatorUrl, adminUrl } = await input.database();
  const operator = createOperatorPool(operatorUrl ?? adminUrl, { max: 2 });
  operator?.on('error', () => {});
  try {
    return await withTenantry(input, fn, { operator });
  } finally {
    await operator?.end();
  }
}

/** The same for the organization of --organization. @throws TNT_USAGE, TNT_TENANT_UNKNOWN */
export async function forOrganization<T>(
  input: CommandInput,
  fn: (t: Tenantry, tenantId: string) => Promise<T>,
): Promise<T> {
  if (input.option('organization') === undefined) throw new TenantryError('TNT_USAGE', '--organization is needed.');
  const { value: tenantId } = await organizationIds(input).next();
  return asOperator(input, (t) => withTenant({ tenantId: String(tenantId) }, () => fn(t, String(tenantId))));
}

export function printInvoice({ terminal }: CommandInput, invoice: Omit<PlannedInvoice, 'periodIndex'>): void {
  const { currency, timeZone, periodStart, periodEnd, lines, total } = invoice;
  const day = (at: Date): string => at.toLocaleString('sv-SE', { timeZone }).slice(0, 16);
  terminal.line(`${day(periodStart)} to ${day(periodEnd)} (${timeZone})`);
  terminal.table(
    ['charge', 'description', 'quantity', `amount ${currency}`],
    lines.map(({ charge, description, quantity, amount }) => [
      charge,
      description,
      quantity ?? '',
      decimalAmount(amount, currency),
    ]),
  );
  terminal.line(`total ${decimalAmount(total, currency)} ${currency}`);
}

/** @throws TNT_USAGE */
export function required(input: CommandInput, name: string): string {
  const value = input.option(name);
  if (value === undefined) throw new TenantryError('TNT_USAGE', `--${name} is needed.`);
  return value;
}
