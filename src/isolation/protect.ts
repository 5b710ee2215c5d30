import { translateDatabaseError } from '../database/database-error.ts';
import type { PoolLike } from '../database/kernel.ts';
import { type LockOptions, withLockRetry } from '../database/locks.ts';
import { qualifiedName, type Queryable, type Row, type Statement } from '../database/sql.ts';
import type { TableName } from './declaration.ts';
import { readTableFacts } from './facts.ts';
import { planProtect, planRevokeTemporary, type ProtectOptions } from './plan-protect.ts';
import { readRegistered, recordPolicyDigest } from './registry.ts';
import { shadowGuard, switchMode } from './switch-mode.ts';

export interface ProtectRunOptions extends ProtectOptions, LockOptions {
  /** Also take the right to make temporary tables from the whole database's public. Default false. */
  readonly revokeTemporary?: boolean;
  /** Plan, and change nothing. */
  readonly dryRun?: boolean;
}

/** Gives a table everything a tenant's table needs, in one transaction; safe to repeat. @returns what was executed */
export async function protectTable(
  admin: PoolLike,
  schema: string,
  name: TableName,
  options: ProtectRunOptions = {},
): Promise<readonly Statement[]> {
  try {
    const registered = await readRegistered(admin, schema, name);
    // a known table keeps what it declares and what it was before; protecting it again restores its mode
    if (registered !== undefined && options.dryRun !== true) {
      const mode = options.mode ?? registered.mode;
      const guard = mode === 'enforced' ? { guard: shadowGuard(schema, name, undefined) } : {};
      return (await switchMode(admin, schema, name, mode, { ...options, ...guard })).statements;
    }
    return await withLockRetry(
      admin,
      async (tx) => {
        await tx.query('set local search_path = pg_catalog, pg_temp');
        const facts = await readTableFacts(tx, name);
        const statements = [
          ...planProtect(facts, await isEmpty(tx, name), {
            ...options,
            ...(registered === undefined ? {} : { known: registered, mode: options.mode ?? registered.mode }),
            schema,
          }),
          ...(options.revokeTemporary === true ? planRevokeTemporary(await databaseName(tx)) : []),
        ];
        if (options.dryRun === true) return statements;
        for (const { text } of statements) await tx.query(text);
        await recordPolicyDigest(tx, schema, name);
        return statements;
      },
      options,
    );
  } catch (error) {
    throw translateDatabaseError(error);
  }
}

async function isEmpty(tx: Queryable, { schema, table }: TableName): Promise<boolean> {
  const { rows } = await tx.query<Row & { found: boolean }>(
    `select exists (select from ${qualifiedName(schema, table)}) as found`,
  );
  return rows.every(({ found }) => !found);
}

async function databaseName(tx: Queryable): Promise<string> {
  const { rows } = await tx.query<Row & { name: string }>('select pg_catalog.current_database()::text as name');
  return rows.map(({ name }) => name).join();
}
