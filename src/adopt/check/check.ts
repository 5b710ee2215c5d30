import type { Queryable } from '../../database/sql.ts';
import { renderSchema } from '../../database/sql.ts';
import { inspectDatabase } from '../inspect.ts';
import { makePlan } from '../make-plan.ts';
import { type ParsedPlanFile, parsePlanFile } from '../plan-file/parse.ts';
import type { RunRow, State } from '../run/state.ts';
import { compareWithRun } from './against-run.ts';
import { compareWithSchema } from './against-schema.ts';
import type { PlanCheck, PlanDifference } from './difference.ts';
import { readDrift } from '../../database/drift.ts';

/**
 * Compares the text of a committed plan file with the database: before an adoption with the schema, later with the adoption
 * that is open and with what came since. Reads only.
 *
 * @throws TNT_PLAN_INVALID with the line when the text is no plan
 */
export async function checkPlan(db: Queryable, schema: string, state: State, text: string): Promise<PlanCheck> {
  const parsed = parsePlanFile(text);
  const run = await state.selectOpenRun(db);
  const found =
    run === undefined
      ? await withSchema(db, schema, text, parsed)
      : compareWithRun(parsed, run.plan, await readDrift(db, schema));
  return {
    ok: !found.some((one) => one.level === 'drift'),
    phase: run?.phase ?? null,
    tables: Object.keys(parsed.file.tables).length,
    differences: found.toSorted(byLine),
  };
}

async function withSchema(
  db: Queryable,
  schema: string,
  text: string,
  parsed: ParsedPlanFile,
): Promise<PlanDifference[]> {
  const inspection = await inspectDatabase(db, schema);
  return compareWithSchema(text, parsed, inspection, (decisions) => makePlan(db, inspection, decisions));
}

const byLine = (a: PlanDifference, b: PlanDifference): number =>
  a.line - b.line || (a.message < b.message ? -1 : a.message > b.message ? 1 : 0);

/**
 * Tells the database what the committed file says about tables and foreign keys that came after the adoption, so that doctor and
 * the application's start are silent about them.
 *
 * @returns what was accepted now
 */
export async function acceptDecisions(
  db: Queryable,
  schema: string,
  run: RunRow,
  text: string,
): Promise<readonly PlanDifference[]> {
  const found = compareWithRun(parsePlanFile(text), run.plan, await readDrift(db, schema));
  const accepted = found.filter((one) => one.kind === 'not-accepted' && one.table !== null);
  for (const { table, columns } of accepted) {
    await db.query(
      renderSchema(
        `insert into tenantry.adoption_accepted (run_id, table_name, columns, class) values ($1::uuid, $2::text, $3::text[], $4::text)
         on conflict do nothing`,
        schema,
      ),
      [run.id, table, columns, columns.length === 0 ? 'shared' : 'key'],
    );
  }
  return accepted;
}
