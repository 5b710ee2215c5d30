import { TenantryError } from '../errors.ts';
import { sqlStateOf, translateDatabaseError } from './database-error.ts';
import { ident, literal, type Queryable } from './sql.ts';

export interface LoginOptions {
  readonly name: string;
  /** Sent as an SCRAM verifier where the caller computed one; plain text is accepted over a trusted connection. */
  readonly password: string;
  /** `tenantry_app` for an application, `tenantry_operator` for an operator. */
  readonly group: 'tenantry_app' | 'tenantry_operator';
}

/** Creates a login that is a plain member of one group, or sets the password of the one that exists. Safe to repeat. */
export async function ensureLogin(admin: Queryable, { name, password, group }: LoginOptions): Promise<void> {
  // An operator must not hold the owner's rights by inheritance: it takes them, visibly, inside withoutTenant.
  const inherit = group === 'tenantry_operator' ? 'noinherit' : 'inherit';
  const options = `login ${inherit} nocreatedb nocreaterole password ${literal(password)}`;
  try {
    await admin.query(`create role ${ident(name)} ${options}`);
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === '42501') {
      throw new TenantryError('TNT_PRIVILEGE_MISSING', `The login ${name} cannot be created: CREATEROLE is missing.`);
    }
    if (state !== '42710' && state !== '23505') throw withoutPassword(error);
    await admin.query(`alter role ${ident(name)} ${options}`).catch((cause: unknown) => {
      throw withoutPassword(cause);
    });
  }
  await admin.query(`grant ${ident(group)} to ${ident(name)}`);
}

/** A server error may quote the statement, and with it the password: what is known of the connection is said, else the state alone. */
function withoutPassword(error: unknown): Error {
  const known = translateDatabaseError(error);
  if (known instanceof TenantryError && known.code === 'TNT_SERVER_UNREACHABLE')
    return new TenantryError(known.code, known.message);
  return new TenantryError(
    'TNT_PRIVILEGE_MISSING',
    `The login could not be written (SQLSTATE ${sqlStateOf(error) ?? 'unknown'}).`,
  );
}
