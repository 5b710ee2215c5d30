import { ident, type Queryable } from '../database/sql.ts';
import { hasTenant } from './classify.ts';
import { inspectDatabase } from './inspect.ts';
import type { Inspection, TableName } from './inspection.ts';
import type { Plan, TablePlan } from './plan-types.ts';
import { indexFindings } from './preflight-indexes.ts';
import {
  type OwnedRow,
  selectHorizon,
  selectLeakyIndexes,
  selectPrivileges,
  selectStatements,
} from './preflight-queries.ts';
import { shapeFindings } from './preflight-shapes.ts';
import { viewFindings } from './preflight-views.ts';
import { wouldFire } from './steps/backfill.ts';
import { upsertFindings } from './uniques/upserts.ts';

export interface PreflightFinding {
  /** Stable, for suppression and tests. */
  readonly code: string;
  /** A blocker stops the run before it changes anything; a warning deserves a look; a note explains. */
  readonly level: 'blocker' | 'warning' | 'note';
  readonly object: string;
  readonly message: string;
  readonly fix?: string;
}

/** Looks at everything that made others' retrofits fail. Reads only. */
export async function runPreflight(db: Queryable, plan: Plan, schema: string): Promise<PreflightFinding[]> {
  const inspection = await inspectDatabase(db, schema);
  const tables = plan.tables.filter((table) => hasTenant(table.class));
  return [
    ...(await privileges(db, [
      ...new Set([...tables.map((table) => table.table), ...(plan.memberships?.tables ?? [])]),
    ])),
    ...structure(inspection, plan, tables),
    ...shapeFindings(inspection, plan, tables),
    ...(await viewFindings(db, inspection, tables)),
    ...(await statistics(db, plan, tables)),
    room(plan, tables),
    ...(await horizon(db)),
    ...(await leakyIndexes(db, tables)),
    ...(await indexFindings(
      db,
      plan,
      tables.flatMap((table) => table.leaves),
    )),
  ];
}

/** A table of another login's, whose rights this one needs. */
export const ofAnother =
  (what: 'read' | 'change') =>
  ({ table, owner, login }: OwnedRow): PreflightFinding => ({
    code: 'privilege-table-owner',
    level: 'blocker',
    object: table,
    message: `${login} may not ${what} ${table}, which belongs to ${owner}`,
    fix: `grant ${ident(owner)} to ${ident(login)};`,
  });

async function privileges(db: Queryable, tables: readonly TableName[]): Promise<PreflightFinding[]> {
  const rows = await selectPrivileges(db, tables);
  const findings: PreflightFinding[] = [];
  for (const row of rows) {
    const { table, login, mayAlter, schemaOwner, mayGrantSchema } = row;
    if (!mayAlter) findings.push(ofAnother('change')(row));
    if (!mayGrantSchema) {
      findings.push({
        code: 'privilege-schema',
        level: 'blocker',
        object: table,
        message: `${login} may not grant the use of the schema of ${table}, which belongs to ${schemaOwner}`,
        fix: `grant usage, create on schema … to ${ident(login)} with grant option;`,
      });
    }
  }
  return findings;
}

function structure(inspection: Inspection, plan: Plan, tables: readonly TablePlan[]): PreflightFinding[] {
  const names = new Set(tables.map((table) => table.table));
  const findings: PreflightFinding[] = [];
  const add = (finding: PreflightFinding): void => {
    findings.push(finding);
  };
  for (const facts of inspection.tables) {
    if (!names.has(facts.name)) continue;
    if (facts.rowSecurity === 'forced' && plan.constant === null) {
      add({
        code: 'row-security-forced',
        level: 'blocker',
        object: facts.name,
        message: `${facts.name} forces row-level security upon its owner: a backfill would silently fill no row`,
        fix: `alter table ${facts.name} no force row level security;`,
      });
    }
    if (facts.primaryKey.length === 0) {
      add({
        code: 'no-primary-key',
        level: 'note',
        object: facts.name,
        message: `${facts.name} has no primary key: its rows are filled by their place`,
      });
    }
  }
  for (const key of inspection.foreignKeys) {
    if (!names.has(key.table)) continue;
    if (key.deferrable && plan.constant === null && names.has(key.parent)) {
      add({
        code: 'deferrable-key',
        level: 'note',
        object: key.table,
        message: `${key.name} of ${key.table} is deferrable: a row may come before its parent and gets its tenant at commit`,
      });
    }
    if (!key.validated) {
      add({
        code: 'unvalidated-key',
        level: 'warning',
        object: key.table,
        message: `${key.name} of ${key.table} was never validated: rows may have no parent`,
      });
    }
    if (key.onPartitions !== undefined) {
      const plan = tables.find((table) => table.table === key.table);
      const without = plan?.leaves.filter((leaf) => key.onPartitions?.includes(leaf) !== true) ?? [];
      if (without.length > 0) {
        add({
          code: 'partition-without-key',
          level: 'warning',
          object: key.table,
          message: `${key.columns.join(', ')} of ${key.table} is a foreign key on its partitions but not on ${without.join(', ')}`,
        });
      }
    }
  }
  for (const trigger of inspection.triggers) {
    if (!names.has(trigger.table)) continue;
    if (trigger.writes) {
      add({
        code: 'trigger-writes',
        level: 'note',
        object: trigger.table,
        message: `trigger ${trigger.name} of ${trigger.table} writes rows itself: those get their tenant by their own keys`,
      });
    }
    if (plan.constant === null && wouldFire(trigger)) {
      add({
        code: 'trigger-suspended',
        level: 'note',
        object: trigger.table,
        message: `trigger ${trigger.name} of ${trigger.table} sleeps for the backfill's own updates, so that they leave no trace in your columns`,
      });
    }
    if (plan.constant === null && trigger.constraint && trigger.events.includes('update')) {
      add({
        code: 'constraint-trigger',
        level: 'warning',
        object: trigger.table,
        message: `constraint trigger ${trigger.name} of ${trigger.table} will fire for each row of the backfill`,
      });
    }
  }
  for (const { publication, table } of inspection.published) {
    if (names.has(table)) {
      add({
        code: 'publication',
        level: 'warning',
        object: table,
        message: `publication ${publication} sends ${table}: give its subscribers the column ${plan.column} first`,
      });
    }
  }
  for (const view of inspection.views) {
    if (view.materialized && view.reads.some((table) => names.has(table))) {
      add({
        code: 'materialized-view',
        level: 'warning',
        object: view.name,
        message: `materialized view ${view.name} keeps rows of every tenant, and no policy reaches it`,
      });
    }
  }
  for (const name of inspection.foreignTables) {
    add({
      code: 'foreign-table',
      level: 'warning',
      object: name,
      message: `${name} is a foreign table: policies do not reach it`,
    });
  }
  return findings;
}

async function statistics(db: Queryable, plan: Plan, tables: readonly TablePlan[]): Promise<PreflightFinding[]> {
  const seen = await selectStatements(db);
  if (seen === null) {
    return [
      {
        code: 'no-statistics',
        level: 'note',
        object: plan.database,
        message:
          'pg_stat_statements is not readable here: ON CONFLICT, SELECT * and COPY cannot be looked for in what the application sends',
        fix: 'create extension pg_stat_statements;',
      },
    ];
  }
  const findings = upsertFindings(plan, seen);
  const named = new Set(findings.map((finding) => finding.object));
  for (const table of tables) {
    const about = seen.filter((text) => new RegExp(`\\b${table.name.replaceAll(/[^\w]/g, '.')}\\b`, 'i').test(text));
    const star = about.find((text) => /\bselect\s+(?:\w+\.)?\*/i.test(text));
    if (star !== undefined) {
      findings.push({
        code: 'select-star',
        level: 'warning',
        object: table.table,
        message: `the application sends SELECT * on ${table.table}: a named prepared statement of it fails once with 0A000 when the column comes, and must be prepared again`,
      });
    }
    if (!named.has(table.table) && about.some((text) => /\bon\s+conflict\s*\(/i.test(text))) {
      findings.push({
        code: 'on-conflict',
        level: 'note',
        object: table.table,
        message: `the application sends ON CONFLICT (…) on ${table.table}: no second unique key is put beside the one it names`,
      });
    }
    if (about.some((text) => /^\s*copy\b[\s\S]*\bfrom\b/i.test(text))) {
      findings.push({
        code: 'copy-from',
        level: 'warning',
        object: table.table,
        message: `the application sends COPY … FROM into ${table.table}: PostgreSQL refuses it from shadow on`,
        fix: 'Copy into a staging table and insert from there.',
      });
    }
    if (about.some((text) => /^\s*truncate\b/i.test(text))) {
      findings.push({
        code: 'truncate',
        level: 'warning',
        object: table.table,
        message: `the application truncates ${table.table}: no policy filters that, and it loses the right to from shadow on`,
      });
    }
  }
  return findings;
}

/** Bytes that a row grows by: the column, and its entry in the tenant's index. */
const columnBytes = 16;
const entryBytes = 40;

function room(plan: Plan, tables: readonly TablePlan[]): PreflightFinding {
  const rows = tables.reduce((sum, table) => sum + Math.max(0, table.rows), 0);
  // a backfill leaves old versions behind: a third more, as measured; a constant tenant rewrites nothing
  const bytes = rows * (plan.constant === null ? (columnBytes + entryBytes) * 1.33 : entryBytes);
  return {
    code: 'disk-room',
    level: 'note',
    object: plan.database,
    message: `about ${Math.max(1, Math.round(bytes / 1e6)).toLocaleString('en-US')} MB more will be used; how much room the server has cannot be seen from here`,
  };
}

async function horizon(db: Queryable): Promise<PreflightFinding[]> {
  return (await selectHorizon(db)).map(({ holder, seconds }) => ({
    code: 'xmin-horizon',
    level: 'warning',
    object: holder,
    message: `${holder} has held an old snapshot for ${Math.round(seconds)} s: the backfill is about 2.5 times slower meanwhile, and concurrent index builds wait for it`,
  }));
}

async function leakyIndexes(db: Queryable, tables: readonly TablePlan[]): Promise<PreflightFinding[]> {
  return (
    await selectLeakyIndexes(
      db,
      tables.map((table) => table.table),
    )
  ).map(({ table, index, operators }) => ({
    code: 'non-leakproof-index',
    level: 'warning' as const,
    object: table,
    message: `index ${index} of ${table} cannot be used under a policy (operators of ${operators} are not leakproof): its queries read the tenant's rows instead, in shadow the whole table`,
  }));
}
