import type { Queryable } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { Confirm } from '../hooks/perform.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import type { PreflightFinding } from '../preflight.ts';
import { selectStatements } from '../preflight-queries.ts';
import { compositeKeysOf } from './composite.ts';
import { perTenant } from './steps.ts';

/** Tables that get a second unique key while the application runs. */
export function tablesWithNewKeys(plan: Plan): TablePlan[] {
  const parents = new Set(plan.tables.flatMap((table) => compositeKeysOf(table).map((key) => key.parent)));
  return plan.tables.filter((table) => perTenant(table).length > 0 || parents.has(table.table));
}

/** INSERT … ON CONFLICT with a target, on this table; the target as it was written. */
export function upsertsOn(statements: readonly string[], table: Pick<TablePlan, 'name'>): string[] {
  const name = table.name.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  const insert = new RegExp(
    String.raw`\binsert\s+into\s+(?:only\s+)?(?:(?:"[^"]+"|[\w$]+)\s*\.\s*)?(?:"${name}"|${name})(?![\w$"])`,
    'i',
  );
  return statements.flatMap((text) => {
    const target = /\bon\s+conflict\s*(\([^)]*\)|on\s+constraint\s+(?:"[^"]+"|[\w$]+))/i.exec(text)?.[1];
    return target !== undefined && insert.test(text) ? [target] : [];
  });
}

/** A second unique key beside the one that an upsert names makes it fail under races: measured, 15 of 16 clients within ten seconds. */
export function upsertFindings(plan: Plan, seen: readonly string[]): PreflightFinding[] {
  return tablesWithNewKeys(plan).flatMap((table): PreflightFinding[] => {
    const [target] = upsertsOn(seen, table);
    if (target === undefined) return [];
    return [
      {
        code: 'upsert-beside-key',
        level: 'blocker',
        object: table.table,
        message: `the application sends INSERT … ON CONFLICT ${target} on ${table.table}: with a second unique key beside the one it names, two at once end in 23505 instead of an update`,
        fix: `-- take the key out of the plan (uniques, composite_keys), or send ON CONFLICT DO NOTHING without a target, then: select pg_stat_statements_reset();`,
      },
    ];
  });
}

/** Statements that name a key which goes at contract: PostgreSQL refuses them from then on (42P10). */
export function contractFindings(plan: Plan, seen: readonly string[]): PreflightFinding[] {
  return plan.tables.flatMap((table) => {
    const targets = upsertsOn(seen, table);
    return perTenant(table).flatMap((unique): PreflightFinding[] => {
      const wanted = [...unique.columns].sort().join();
      const target = targets.find((text) =>
        text.startsWith('(')
          ? unique.columns.length === 0 || columnsOf(text) === wanted
          : text
              .replace(/^on\s+constraint\s+/i, '')
              .replaceAll('"', '')
              .toLowerCase() === unique.name.toLowerCase(),
      );
      if (unique.definition === null || target === undefined) return [];
      return [
        {
          code: 'upsert-names-key',
          level: 'blocker',
          object: table.table,
          message: `the application sends INSERT … ON CONFLICT ${target} on ${table.table}, and ${unique.name} goes: such a statement would be refused (42P10)`,
          fix: `-- let it name the tenant too: ON CONFLICT (${[plan.column, ...unique.columns].join(', ')}), then: select pg_stat_statements_reset();`,
        },
      ];
    });
  });
}

const columnsOf = (target: string): string =>
  target
    .slice(1, -1)
    .split(',')
    .map((column) => column.trim().replaceAll('"', '').toLowerCase())
    .sort()
    .join();

/** What only a person knows where the server keeps no statistics of statements; undefined where it does, or where nothing hangs on it. */
export async function upsertQuestion(
  db: Queryable,
  plan: Plan,
  moment: 'begin' | 'contract',
): Promise<string | undefined> {
  const tables = (
    moment === 'begin' ? tablesWithNewKeys(plan) : plan.tables.filter((t) => perTenant(t).length > 0)
  ).map(({ table }) => table);
  if (tables.length === 0 || (await selectStatements(db)) !== null) return undefined;
  const names = tables.join(', ');
  return moment === 'begin'
    ? `pg_stat_statements is not readable, so nobody could look for INSERT … ON CONFLICT (…) on ${names}: with a second unique key such statements fail under races. Is there none of them in your code?`
    : `pg_stat_statements is not readable, so nobody could look for INSERT … ON CONFLICT that names a key which goes now (${names}). Is there none of them in your code?`;
}

/** @throws TNT_NOT_CONFIRMED */
export async function askUpserts(question: string | undefined, confirm: Confirm | undefined): Promise<void> {
  if (question === undefined) return;
  if (confirm === undefined)
    throw new TenantryError('TNT_NOT_CONFIRMED', `${question} Nobody is there to answer.`, {
      hint: 'Nothing was changed. Answer on a terminal, or repeat with --yes.',
    });
  if (!(await confirm(question)))
    throw new TenantryError('TNT_NOT_CONFIRMED', 'The question about ON CONFLICT was not answered with yes.', {
      hint: 'Nothing was changed. Take the keys out of the plan (uniques, composite_keys), or change those statements first.',
    });
}
