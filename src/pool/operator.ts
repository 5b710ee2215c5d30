import { ContextScope, runInScope } from '../context/scope.ts';
import { reasonFrom } from '../context/validate.ts';
import type { Queryable } from '../database/sql.ts';
import { ident } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import type { Prelude } from './context-prefix.ts';
import { TenantPool } from './pool.ts';
import type { TenantPoolOptions } from './settings.ts';
import { poolSettings } from './settings.ts';
import { WireWriter } from './wire.ts';

const ownerRole = 'tenantry_owner';

/** The operator's prelude: the role that owns the tables, for this query or transaction alone. */
const operatorPrelude: Prelude = {
  name: 'tenantry_operator',
  text: "select where set_config('role', $1, true) is null",
  prepared: (scope) => (scope.preparedPrefix ??= write('tenantry_operator', undefined)),
  unnamed: (scope) => (scope.unnamedPrefix ??= write('', operatorPrelude.text)),
  simple: () => `set local role ${ident(ownerRole)}; `,
  simpleCount: () => 1,
};

function write(name: string, text: string | undefined): Buffer {
  const writer = new WireWriter(512);
  if (text !== undefined) writer.parse(name, text);
  writer.bind(name, [ownerRole]);
  writer.execute();
  return writer.take();
}

/** A pool across tenants. Every query of it runs as the owner of the tables; only `withoutTenant` hands it out. */
export class OperatorPool extends TenantPool {}

/**
 * Opens the pool that `withoutTenant` uses. Its login is a member of tenantry_operator, and of nothing that the
 * application's own login is. Without a URL there is no such pool.
 *
 * @example
 * ```ts
 * const operator = createOperatorPool(process.env.TENANTRY_OPERATOR_URL);
 * ```
 */
export function createOperatorPool(
  operatorUrl: string | undefined,
  options: TenantPoolOptions = {},
): OperatorPool | undefined {
  if (operatorUrl === undefined || operatorUrl === '') return undefined;
  const scope = new ContextScope({ kind: 'system', reason: 'operator' }, 'operator');
  const settings = { ...poolSettings(options), prelude: () => operatorPrelude, fixedScope: scope };
  // descriptors, not a spread: a password may be there without being enumerable
  const config = Object.defineProperties({ connectionString: operatorUrl }, Object.getOwnPropertyDescriptors(options));
  return new OperatorPool(config, settings);
}

export interface WithoutTenantOptions {
  /** From `createOperatorPool`. Absent: there is no way across tenants. */
  readonly operator: OperatorPool | undefined;
  /** Writes who crossed and why, on the operator's connection, before `fn` runs. When it fails, `fn` does not run. */
  readonly audit?: (
    connection: Queryable,
    entry: { readonly reason: string; readonly details?: object },
  ) => Promise<void>;
  /** Kept with the reason in the audit entry. */
  readonly details?: object;
}

/**
 * The one way across tenants: runs `fn` with the operator's pool, and leaves an audit entry. The application's own
 * pool stays without a tenant inside, and so without rows.
 *
 * @throws TNT_OPERATOR_UNAVAILABLE when no operator connection was configured, TNT_CONTEXT_INVALID without a reason
 * @example
 * ```ts
 * await withoutTenant('monthly totals', (db) => db.query('select count(*) from invoices'), { operator, audit });
 * ```
 */
export async function withoutTenant<T>(
  reason: string,
  fn: (database: OperatorPool) => T | PromiseLike<T>,
  { operator, audit, details }: WithoutTenantOptions,
): Promise<T> {
  const why = reasonFrom(reason);
  if (operator === undefined) {
    throw new TenantryError(
      'TNT_OPERATOR_UNAVAILABLE',
      'There is no operator connection, and so no way across tenants.',
    );
  }
  await audit?.(operator, details === undefined ? { reason: why } : { reason: why, details });
  return runInScope(new ContextScope({ kind: 'system', reason: why }), () => fn(operator));
}
