import type { PoolLike } from '../database/kernel.ts';
import { type LockOptions, withLockRetry } from '../database/locks.ts';
import { qualifiedName, type Queryable } from '../database/sql.ts';
import type { TableName } from './declaration.ts';
import { readTableFacts } from './facts.ts';

/**
 * Lifts FORCE from a table while `fn` validates or copies as its owner, in one transaction: under FORCE a validation sees
 * no rows and passes over orphans, and COPY FROM is refused. Other sessions wait for the transaction to end.
 */
export async function withoutForce<T>(
  owner: PoolLike,
  name: TableName,
  fn: (tx: Queryable) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  return withLockRetry(
    owner,
    async (tx) => {
      const facts = await readTableFacts(tx, name);
      const forced = [facts, ...facts.leaves].filter((relation) => relation.forced);
      const set = async (force: 'force' | 'no force'): Promise<void> => {
        for (const { schema, table } of forced) {
          await tx.query(`alter table ${qualifiedName(schema, table)} ${force} row level security`);
        }
      };
      await set('no force');
      const result = await fn(tx);
      await set('force');
      return result;
    },
    options,
  );
}
