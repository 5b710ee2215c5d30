import { setTimeout as sleep } from 'node:timers/promises';
import { counted } from '../../counted.ts';
import { describeBlocker } from '../../database/blockers.ts';
import { sqlStateOf } from '../../database/database-error.ts';
import type { ClientLike, PoolLike } from '../../database/kernel.ts';
import { type LockAttempt, type LockOptions, runStatements, withLockRetry } from '../../database/locks.ts';
import { type Queryable, type Row, renderSchema, type Statement } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { CheckStep, IndexStep, Step, TransactionStep } from '../plan-types.ts';
import type { OnEvent } from './events.ts';
import type { Lease } from './lease.ts';
import type { Pace } from './pace.ts';
import type { State } from './state.ts';
import type { VacuumHold } from './vacuum-hold.ts';

/** What every step needs of its run. */
export interface RunContext {
  readonly pool: PoolLike;
  readonly schema: string;
  readonly state: State;
  readonly lease: Lease;
  readonly locks: LockOptions;
  readonly signal: AbortSignal | undefined;
  readonly onEvent: OnEvent;
  readonly pace: Pace;
  readonly hold: VacuumHold;
  /** Connections of the backfill that wait for its next step. */
  readonly sessions: ClientLike[];
}

export function lockOptions(context: RunContext, id: string): LockOptions {
  // beside the attempt: nobody waits for it, and a listener that throws ends no process
  const tell = (attempt: Parameters<typeof tellLock>[2]): void => void tellLock(context, id, attempt).catch(() => {});
  return {
    ...context.locks,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
    onAttempt: (attempt) => {
      context.locks.onAttempt?.(attempt);
      tell(attempt);
    },
    onWaiting: ({ milliseconds, blockers }) => tell({ attempt: 1, outcome: 'waiting', milliseconds, blockers }),
  };
}

/** Tells of what is in the way, to whoever listens and in the state, where status and SQL find it. */
export async function tellLock(
  context: RunContext,
  id: string,
  attempt: Omit<LockAttempt, 'outcome'> & { readonly outcome: LockAttempt['outcome'] | 'waiting' },
): Promise<void> {
  const blockers = attempt.blockers.map(describeBlocker);
  if (attempt.outcome !== 'done') {
    // a help for the reader: the work does not fail over it
    await context.state.setWaiting(context.pool, context.lease.fence, id, blockers).catch(() => undefined);
  }
  const { outcome, milliseconds } = attempt;
  await context.onEvent({
    type: 'lock',
    id,
    attempt: attempt.attempt,
    outcome,
    milliseconds,
    blockers,
    sessions: attempt.blockers,
  });
}

export function assertGoing(context: Pick<RunContext, 'signal' | 'lease'>): void {
  if (context.signal?.aborted === true)
    throw new TenantryError('TNT_INTERRUPTED', 'The adoption was stopped; its state is kept.');
  context.lease.assertHeld();
}

export async function mark(
  context: RunContext,
  db: Queryable,
  id: string,
  status: 'running' | 'done' | 'undone',
): Promise<void> {
  if (!(await context.state.setStep(db, context.lease.fence, id, status))) {
    throw new TenantryError('TNT_ADOPT_RUNNING', 'Another process has taken over this adoption.');
  }
}

/** Names in the plan are qualified; nothing may be looked up in schemas of the application. */
const pinSearchPath = 'set local search_path = pg_catalog, pg_temp';

/** The statements and the record of the step, in one transaction: it happened, or it did not. */
export async function runTransaction(
  context: RunContext,
  step: Step,
  statements: readonly Statement[],
  status: 'done' | 'undone',
): Promise<void> {
  await withLockRetry(
    context.pool,
    async (tx) => {
      await mark(context, tx, step.id, status);
      // one message: the locks are held for one round trip
      const text = statements.map((statement) => statement.text).join(';\n');
      if (text !== '') await tx.query(renderSchema(`${pinSearchPath};\n${text}`, context.schema));
    },
    lockOptions(context, step.id),
  );
}

export async function runTransactionStep(context: RunContext, step: TransactionStep): Promise<void> {
  await runTransaction(context, step, step.up, 'done');
}

const indexTries = 8;

export async function runIndexStep(context: RunContext, step: IndexStep): Promise<void> {
  await mark(context, context.pool, step.id, 'running');
  await buildIndex(context, step, step.up);
  await mark(context, context.pool, step.id, 'done');
}

/** What tells an index from another of the same name. */
export type WantedIndex = Pick<IndexStep, 'id' | 'index' | 'relation' | 'columns' | 'unique' | 'tail'>;

/** Makes an index concurrently; what a failed or killed try left behind is invalid, and is removed and made again. */
export async function buildIndex(context: RunContext, step: WantedIndex, create: readonly Statement[]): Promise<void> {
  const tries = Math.min(indexTries, context.locks.attempts ?? indexTries);
  for (let attempt = 1; ; attempt += 1) {
    assertGoing(context);
    const found = await selectIndexState(context.pool, step);
    if (found === 'valid') break;
    if (found === 'of another') {
      throw new TenantryError(
        'TNT_PLAN_DRIFTED',
        `An index ${step.index} is there, and it is not the one of the plan: nothing was done to it.`,
        { hint: `Rename it (alter index ${step.index} rename to …), then: tenantry adopt run` },
      );
    }
    try {
      const statements =
        found === 'invalid'
          ? [
              {
                purpose: 'left invalid by a try that failed',
                text: `drop index concurrently if exists ${step.index}`,
                outsideTransaction: true,
              },
            ]
          : create;
      await runStatements(
        context.pool,
        statements.map((s) => ({ ...s, text: renderSchema(s.text, context.schema) })),
        { ...lockOptions(context, step.id), attempts: 1 },
      );
    } catch (error) {
      const cause = error instanceof TenantryError ? error.cause : error;
      const state = sqlStateOf(cause);
      // 42P07: a try whose client died has gone on and made it
      const again = state === '55P03' || state === '40P01' || state === '42P07' || state === '42704';
      if (!again || attempt >= tries) throw error;
      await sleep(
        Math.min(2000, 100 * 2 ** attempt),
        undefined,
        context.signal ? { signal: context.signal } : {},
      ).catch(() => undefined);
    }
  }
}

/** Drops the index of the plan; one of the same name that is another's stays. */
export async function undoIndexStep(context: RunContext, step: IndexStep): Promise<void> {
  if ((await selectIndexState(context.pool, step)) !== 'of another')
    await runStatements(context.pool, step.down, lockOptions(context, step.id));
  await mark(context, context.pool, step.id, 'undone');
}

export async function selectIndexState(
  pool: PoolLike,
  { index, relation, columns, unique, tail }: Omit<WantedIndex, 'id'>,
): Promise<'absent' | 'invalid' | 'valid' | 'of another'> {
  const client = await pool.connect();
  try {
    // definitions are printed as the plan has them: with every name qualified
    await client.query('begin');
    await client.query(pinSearchPath);
    const { rows } = await client.query<Row & { valid: boolean; own: boolean }>(
      `select x.indisvalid and x.indisready as valid,
              x.indrelid = pg_catalog.to_regclass($2::text) and x.indisunique = $4::boolean
                and case when $5::text is null then x.indpred is null and x.indexprs is null
                  and (select array_agg(a.attname::text order by k.o) from unnest(x.indkey::int2[]) with ordinality k(attnum, o)
                       join pg_catalog.pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum) is not distinct from $3::text[]
                else pg_catalog.right(pg_catalog.pg_get_indexdef(x.indexrelid), pg_catalog.length($5::text)) = $5::text end as own
       from pg_catalog.pg_class i left join pg_catalog.pg_index x on x.indexrelid = i.oid where i.oid = pg_catalog.to_regclass($1::text)`,
      [index, relation, columns, unique === true, tail ?? null],
    );
    if (rows[0] === undefined) return 'absent';
    if (!rows[0].own) return 'of another';
    return rows[0].valid ? 'valid' : 'invalid';
  } finally {
    await client.query('rollback').catch(() => undefined);
    client.release();
  }
}

export interface Finding {
  readonly table: string;
  /** `12 rows without a tenant`. */
  readonly message: string;
  readonly rows: number;
  /** Keys of some of the rows. */
  readonly keys: readonly string[];
}

/** The words of a finding begin with what it counts. */
const singular = (finding: string): string =>
  finding.replace(/^(?:rows|memberships|users|administrators|e-mail addresses)\b/, (many) =>
    many.replace(/(?<=ss)es$|s$/, ''),
  );

/** Runs the reading statements of a check; each row is a finding. */
export async function readFindings(db: Queryable, schema: string, step: CheckStep): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { text } of step.up) {
    const { rows } = await db.query<Row & { finding: string; rows: number; keys: string[] }>(
      renderSchema(text, schema),
    );
    findings.push(
      ...rows.map(({ finding, rows: count, keys }) => ({
        table: step.table ?? '',
        message: counted(count, singular(finding), finding),
        rows: count,
        keys,
      })),
    );
  }
  return findings;
}
