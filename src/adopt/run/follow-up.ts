import { withLockRetry } from '../../database/locks.ts';
import { renderSchema } from '../../database/sql.ts';
import { mappingStep } from '../steps/mapping.ts';
import type { RunRow, StepRow } from './state.ts';
import { lockOptions, type RunContext } from './steps-run.ts';

/** What came after its own step had passed: organizations of new rows of a mapping, memberships that could not follow at once. */
export async function followUp(context: RunContext, run: RunRow, rows: ReadonlyMap<string, StepRow>): Promise<void> {
  const done = (id: string): boolean => rows.get(id)?.status === 'done';
  const calls = [
    ...(run.plan.mapping !== null && done(mappingStep) ? ['tenantry.adopt_organizations()'] : []),
    ...(run.plan.memberships !== null && done('backfill/memberships') ? ['tenantry.adopt_repair_members()'] : []),
  ];
  for (const call of calls) {
    await withLockRetry(
      context.pool,
      async (tx) => {
        await tx.query('set local search_path = pg_catalog, pg_temp');
        await tx.query(renderSchema(`select ${call}`, context.schema));
      },
      lockOptions(context, call),
    );
  }
}
