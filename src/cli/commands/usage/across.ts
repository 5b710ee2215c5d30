import { withSystem } from '../../../context/index.ts';
import type { Tenantry } from '../../../tenantry.ts';
import type { CommandInput } from '../../command.ts';
import { withTenantry } from '../../organization.ts';

/** With the migrating login and of no organization: it sees them all. */
export const acrossOrganizations = <T>(input: CommandInput, fn: (t: Tenantry) => Promise<T>): Promise<T> =>
  withTenantry(input, (t) => withSystem('tenantry usage', () => fn(t)));
