import { withSystem } from '../context/index.ts';
import type { Queryable } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import { runtimeLoginText } from './runtime-login-query.ts';

/** One way past the policies that the login of a pool has. */
export interface LoginWeakness {
  /** The kind, or kind and object: `superuser`, `set-role:dba`, `predefined-role:pg_read_all_data`, `owns:public.notes`. */
  readonly name: string;
  readonly detail: string;
}

export interface RuntimeLoginOptions {
  /** Schema of Tenantry's own tables. Default `tenantry`. */
  readonly schema?: string;
  /** Weaknesses that are known and accepted, by name or by kind (`owns` accepts every `owns:…`). */
  readonly acceptWeakness?: readonly string[];
}

/** Every way past the policies that the pool's own login has, asked over its live connection. */
export async function loginWeaknesses(pool: Queryable, schema = 'tenantry'): Promise<LoginWeakness[]> {
  const { rows } = await withSystem('examine the login', () =>
    pool.query<{ name: string; detail: string }>(runtimeLoginText, [schema, null]),
  );
  return rows.map(({ name, detail }) => ({ name, detail }));
}

/** The same of another login, asked over a connection that may read the catalogue. Empty for one that does not exist. */
export async function weaknessesOfLogin(db: Queryable, login: string, schema = 'tenantry'): Promise<LoginWeakness[]> {
  const { rows } = await db.query<{ name: string; detail: string }>(runtimeLoginText, [schema, login]);
  return rows.map(({ name, detail }) => ({ name, detail }));
}

/**
 * Refuses a login for which the policies are no boundary: superuser, BYPASSRLS, CREATEROLE, REPLICATION, a SET ROLE
 * path to such a role or to the owner of protected tables, predefined roles that read, write or run, ownership.
 *
 * @throws TNT_LOGIN_CAN_BYPASS naming each weakness
 */
export async function assertRuntimeLogin(
  pool: Queryable,
  { schema = 'tenantry', acceptWeakness = [] }: RuntimeLoginOptions = {},
): Promise<void> {
  const weaknesses = await loginWeaknesses(pool, schema);
  const open = weaknesses.filter(({ name }) => !acceptWeakness.some((accepted) => covers(accepted, name)));
  if (open.length === 0) return;
  const what = open.map(({ detail }) => detail).join('; ');
  throw new TenantryError('TNT_LOGIN_CAN_BYPASS', `The application's login can pass the policies: ${what}.`, {
    details: open,
    hint: `Connect as a plain member of tenantry_app, or accept it by name: acceptWeakness: ['${open[0]?.name}'].`,
  });
}

function covers(accepted: string, name: string): boolean {
  return accepted === name || name.startsWith(`${accepted}:`);
}
