import { counted } from '../../counted.ts';
import { literal, renderSchema, type Statement } from '../../database/sql.ts';
import { phaseRows } from '../page/phase-notes.ts';
import type { BackfillStep, BatchStep, CheckStep, Plan, Step } from '../plan-types.ts';
import type { ModeStatements } from './modes.ts';

/** Pages of one window of the backfill, rows of one batch: moderate ones, because nothing here adapts them. */
const windowPages = 128;
const batchRows = 200;

/**
 * Every statement of every phase in the order in which it runs, as a script for psql: steps that are one transaction are one here,
 * what must commit in between does, and a check that finds something stops it. Pure.
 */
export function writeScript(plan: Plan, modes: ModeStatements, schema: string): string {
  const lines = head(plan, schema);
  for (const { phase, does, notices, statements } of phaseRows(plan)) {
    if (statements === 0) continue;
    lines.push('', `-- ${'='.repeat(12)} ${phase} ${'='.repeat(Math.max(3, 60 - phase.length))}`, ...comment(does));
    lines.push(...comment(`The application notices: ${notices}`));
    const written = plan.steps.flatMap((step) => (step.phase === phase ? writeStep(step, modes, schema) : []));
    // a command of its own: not before the last old code is gone
    lines.push(...(phase === 'contract' ? ['\\if :{?contract}', ...written, '\\endif'] : written));
  }
  return `${lines.join('\n')}\n`;
}

function head(plan: Plan, schema: string): string[] {
  return [
    ...comment(
      `Adoption of the database ${plan.database}: ${counted(plan.order.length, 'table gets', 'tables get')} the column ${plan.column}.`,
    ),
    ...comment(
      `Made by: tenantry adopt plan --sql. To be read; or to be run once, as the login that adopts, by: psql -v ON_ERROR_STOP=1 -f FILE`,
    ),
    ...comment(
      `tenantry adopt run does the same and more: it resumes, throttles, retries every lock in short attempts, keeps what undo needs, runs hooks, and makes memberships.`,
    ),
    ...comment(`The schema ${schema} must be there: tenantry migrate`),
    ...(plan.steps.some((step) => step.phase === 'contract')
      ? comment('Contract is left out unless psql is told: -v contract=1')
      : []),
    '',
    'set search_path = pg_catalog, pg_temp;',
    `set lock_timeout = '2s';`,
  ];
}

function writeStep(step: Step, modes: ModeStatements, schema: string): string[] {
  const statements = step.kind === 'mode' ? (modes.get(step.id) ?? step.up) : step.up;
  if (statements.length === 0) return [];
  const title = ['', `-- ${oneLine(step.id)}`];
  const plain = statements.flatMap((statement) => writeStatement(statement, schema));
  switch (step.kind) {
    case 'transaction':
    case 'mode':
      return [
        ...title,
        ...(statements.some((s) => s.outsideTransaction === true) ? plain : ['begin;', ...plain, 'commit;']),
      ];
    case 'index':
      return [...title, ...plain];
    case 'backfill':
      return [...title, ...writeBackfill(step, schema)];
    case 'retire':
      return [...title, ...plain];
    case 'batches':
      return [...title, ...writeBatches(step, schema)];
    default:
      return [...title, ...writeChecks(step, schema)];
  }
}

function writeStatement({ purpose, text }: Statement, schema: string): string[] {
  return [...comment(purpose), `${renderSchema(text.trim(), schema)};`];
}

function writeBackfill({ relation, up }: BackfillStep, schema: string): string[] {
  return up.flatMap(({ purpose, text }) => [
    ...comment(`${purpose}; each window of ${windowPages} pages is a transaction of its own`),
    `set app.adopt_backfill = 'on';`,
    block(
      `declare
  page bigint;
  pages constant bigint := pg_catalog.pg_relation_size(${literal(relation)}) / pg_catalog.current_setting('block_size')::bigint;
begin
  for page in select pg_catalog.generate_series(0, pages, ${windowPages}) loop
    execute ${dollar(renderSchema(text.trim(), schema), 'statement')}
      using page, page + ${windowPages}, 1, 0;
    commit;
  end loop;
end`,
    ),
    'reset app.adopt_backfill;',
  ]);
}

function writeBatches({ up }: BatchStep, schema: string): string[] {
  return up.flatMap(({ purpose, text }) => [
    ...comment(`${purpose}; each batch of ${batchRows} is a transaction of its own`),
    block(
      `declare
  batch record;
  reached text;
begin
  loop
    execute ${dollar(renderSchema(text.trim(), schema), 'statement')}
      into batch using reached, ${batchRows};
    commit;
    exit when batch.rows is null or batch.rows < ${batchRows};
    reached := batch.last;
  end loop;
end`,
    ),
  ]);
}

function writeChecks({ id, up }: CheckStep, schema: string): string[] {
  return up.flatMap(({ purpose, text }) => [
    ...comment(`${purpose}: there must be none`),
    block(
      `begin
  if exists (
    ${renderSchema(text.trim(), schema)}
  ) then
    raise exception ${literal('% found something: run its statement alone, decide in the plan')}, ${literal(id)};
  end if;
end`,
    ),
  ]);
}

const block = (body: string): string => `do ${dollar(`\n${body}\n`, 'tenantry')};`;

/** A body may hold names of tables, and a name may hold any tag. */
function dollar(body: string, word: string): string {
  let tag = word;
  while (body.includes(`$${tag}`)) tag += '_';
  return `$${tag}$${body}$${tag}$`;
}

const oneLine = (text: string): string => text.replace(/[\r\n\u0085\u2028\u2029]+/g, ' ');
const comment = (text: string): string[] => [`-- ${oneLine(text)}`];
