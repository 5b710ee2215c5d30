import type { Queryable } from '../../database/sql.ts';
import type { VerifyHook, VerifyReport } from './types.ts';

/** Runs the checks of the adopter on one connection that reads only; what one throws is its finding and stops no other. */
export async function runVerifyHooks(tx: Queryable, hooks: readonly VerifyHook[]): Promise<VerifyReport[]> {
  const reports: VerifyReport[] = [];
  for (const hook of hooks) {
    const messages: string[] = [];
    await tx.query('savepoint tenantry_hook');
    let problem: string | null = null;
    try {
      await hook.run({ tx, log: (message) => void messages.push(message) });
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    await tx.query('rollback to savepoint tenantry_hook');
    reports.push({ name: hook.name, messages, problem });
  }
  return reports;
}
