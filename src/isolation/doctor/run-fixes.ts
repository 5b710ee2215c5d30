import { type LockOptions, runStatements } from '../../database/locks.ts';
import type { PoolLike } from '../../database/kernel.ts';
import type { Statement } from '../../database/sql.ts';

export interface FixOutcome {
  readonly statement: Statement;
  /** Absent when it was done. */
  readonly error?: Error;
}

/**
 * Executes planned fixes over the migrating login, each in its own transaction under a lock timeout, so that one that is
 * refused does not take the others back.
 */
export async function runFixes(
  admin: PoolLike,
  statements: readonly Statement[],
  options: LockOptions = {},
): Promise<FixOutcome[]> {
  const outcomes: FixOutcome[] = [];
  for (const statement of statements) {
    try {
      await runStatements(admin, [statement], options);
      outcomes.push({ statement });
    } catch (error) {
      outcomes.push({ statement, error: error as Error });
    }
  }
  return outcomes;
}
