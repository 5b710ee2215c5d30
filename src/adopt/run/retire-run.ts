import { runStatements, withLockRetry } from '../../database/locks.ts';
import { renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { RetireStep } from '../plan-types.ts';
import {
  buildIndex,
  lockOptions,
  mark,
  readFindings,
  type RunContext,
  runTransaction,
  selectIndexState,
} from './steps-run.ts';

/** Takes a global unique key away; never before the one per tenant is there and valid. */
export async function runRetireStep(context: RunContext, step: RetireStep): Promise<void> {
  const { relation, columns, successor, index } = step;
  const found = await selectIndexState(context.pool, step);
  if (found === 'of another') {
    throw new TenantryError(
      'TNT_PLAN_DRIFTED',
      `${index} is not the unique key of the plan any more: it was left alone.`,
      {
        hint: 'If it is to go, drop it yourself; if it is to stay, take it out of the plan (uniques), then repeat.',
      },
    );
  }
  const next = await selectSuccessor(context, relation, successor);
  if (next !== true) {
    throw new TenantryError(
      'TNT_PLAN_DRIFTED',
      `${successor} is missing or invalid: without it ${index} (${columns.join(', ')}) stays.`,
      { hint: 'Make it again: tenantry adopt undo --to verify, then: tenantry adopt run' },
    );
  }
  const concurrently = step.up.some((statement) => statement.outsideTransaction === true);
  if (!concurrently) {
    await runTransaction(context, step, found === 'absent' ? [] : step.up, 'done');
    return;
  }
  await mark(context, context.pool, step.id, 'running');
  await runStatements(context.pool, step.up, lockOptions(context, step.id));
  await mark(context, context.pool, step.id, 'done');
}

async function selectSuccessor(context: RunContext, relation: string, successor: string): Promise<boolean> {
  const { rows } = await context.pool.query<{ valid: boolean }>(
    `select x.indisvalid and x.indisunique as valid from pg_catalog.pg_index x
     where x.indexrelid = pg_catalog.to_regclass($1::text) and x.indrelid = pg_catalog.to_regclass($2::text)`,
    [successor, relation],
  );
  return rows[0]?.valid === true;
}

/**
 * Makes the global key again, concurrently, and puts back what stood on it.
 *
 * @throws TNT_ADOPT_NOT_UNIQUE listing the rows, when two tenants have the same value by now; nothing is changed then
 */
export async function undoRetireStep(context: RunContext, step: RetireStep): Promise<void> {
  const [create, ...restore] = step.down;
  if (create === undefined) return;
  if ((await selectIndexState(context.pool, step)) !== 'valid') {
    const found = await readFindings(context.pool, context.schema, { ...step, kind: 'check', up: [step.taken] });
    if (found.length > 0) {
      const keys = found.flatMap((finding) => finding.keys);
      throw new TenantryError(
        'TNT_ADOPT_NOT_UNIQUE',
        `${step.relation} has ${found.map((finding) => finding.message).join('; ')}: ${keys.slice(0, 5).join('; ')}${keys.length > 5 ? '; …' : ''}.`,
        { details: { findings: found } },
      );
    }
    await buildIndex(context, step, [create]);
  }
  await withLockRetry(
    context.pool,
    async (tx) => {
      await mark(context, tx, step.id, 'undone');
      await tx.query('set local search_path = pg_catalog, pg_temp');
      const text = restore.map((statement) => statement.text).join(';\n');
      if (text !== '') await tx.query(renderSchema(text, context.schema));
    },
    lockOptions(context, step.id),
  );
}
