import { sqlStateOf } from '../../database/database-error.ts';
import { type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import type { Phase, Plan, Step } from '../plan-types.ts';

export type StepStatus = 'pending' | 'running' | 'done' | 'undone';

export interface RunRow extends Row {
  id: string;
  plan: Plan;
  plan_hash: string;
  status: 'open' | 'undone';
  phase: Phase;
  direction: 'forward' | 'undo';
  runner: string | null;
  runner_pid: number | null;
  lease_until: Date | null;
  /** The lease has not run out, and its backend is still there. */
  held: boolean;
  last_error: string | null;
  /** Set while somebody wants it to stand still. */
  paused_at: Date | null;
  schema_before: string;
  /** Names of the hooks that it was begun with. */
  hooks: string[];
  started_at: Date;
  updated_at: Date;
  finished_at: Date | null;
}

export interface StepRow extends Row {
  id: string;
  phase: Phase;
  table_name: string | null;
  status: StepStatus;
  cursor: BackfillCursor | null;
  rows_done: number;
  rows_total: number | null;
  /** Who is in the way of its lock, a line each, when it last looked. */
  waiting_for: string[] | null;
  attempts: number;
  started_at: Date | null;
  finished_at: Date | null;
}

/** Pages of a relation that are done, of those that were there when its backfill began. */
export interface BackfillCursor {
  readonly page: number;
  readonly pages: number;
  /** Rows per second when it was written. */
  readonly rate?: number;
  /** Of steps that go by keys: the last one reached. */
  readonly key?: string;
}

/** Who writes: every change of state proves that its runner still holds the lease. */
export interface Fence {
  readonly runId: string;
  readonly runner: string;
}

const runColumns = `r.id, r.plan, r.plan_hash, r.status, r.phase, r.direction, r.runner, r.runner_pid, r.lease_until, r.last_error, r.paused_at,
  r.schema_before, r.hooks, r.started_at, r.updated_at, r.finished_at,
  r.runner is not null and r.lease_until > now()
    and exists (select from pg_catalog.pg_stat_activity a where a.pid = r.runner_pid and a.datname = current_database()) as held`;

/** The statements on `adoption_runs` and `adoption_steps`, one each, in the schema that was configured. */
export function createState(schema: string) {
  const sql = (text: string): string => renderSchema(text, schema);
  return {
    async selectOpenRun(db: Queryable): Promise<RunRow | undefined> {
      // planning reads databases that Tenantry has never touched
      const { rows } = await db.query<{ there: boolean }>(`select to_regclass($1) is not null as there`, [
        sql('tenantry.adoption_runs'),
      ]);
      if (rows[0]?.there !== true) return undefined;
      return (await db.query<RunRow>(sql(`select ${runColumns} from tenantry.adoption_runs r where r.status = 'open'`)))
        .rows[0];
    },

    async selectLastRun(db: Queryable): Promise<RunRow | undefined> {
      return (
        await db.query<RunRow>(
          sql(
            `select ${runColumns} from tenantry.adoption_runs r order by r.status = 'open' desc, r.started_at desc limit 1`,
          ),
        )
      ).rows[0];
    },

    async insertRun(db: Queryable, plan: Plan, hash: string, schemaBefore: string): Promise<string> {
      const { rows } = await db.query<{ id: string }>(
        sql(
          `insert into tenantry.adoption_runs (plan, plan_hash, schema_before) values ($1::json, $2::text, $3::text) returning id`,
        ),
        [JSON.stringify(plan), hash, schemaBefore],
      );
      return rows[0]?.id ?? '';
    },

    async insertSteps(db: Queryable, runId: string, steps: readonly Step[]): Promise<void> {
      await db.query(
        sql(`insert into tenantry.adoption_steps (run_id, id, position, phase, table_name)
             select $1::uuid, s.id, s.position, s.phase, s."table" from jsonb_to_recordset($2::jsonb) s(id text, position int, phase text, "table" text)`),
        [runId, JSON.stringify(steps.map(({ id, phase, table }, position) => ({ id, position, phase, table })))],
      );
    },

    /** Another plan of the same run: steps that are left out go, those that came wait. */
    async amendRun(db: Queryable, runId: string, plan: Plan, hash: string, removed: readonly string[]): Promise<void> {
      await db.query(
        sql(`update tenantry.adoption_runs r set plan = $2::json, plan_hash = $3::text, updated_at = now()
             where r.id = $1::uuid and r.status = 'open'`),
        [runId, JSON.stringify(plan), hash],
      );
      await db.query(
        sql(`delete from tenantry.adoption_steps s where s.run_id = $1::uuid and s.id = any ($2::text[])`),
        [runId, removed],
      );
      await db.query(
        sql(`insert into tenantry.adoption_steps (run_id, id, position, phase, table_name)
             select $1::uuid, s.id, s.position, s.phase, s."table" from jsonb_to_recordset($2::jsonb) s(id text, position int, phase text, "table" text)
             on conflict (run_id, id) do update set position = excluded.position`),
        [runId, JSON.stringify(plan.steps.map(({ id, phase, table }, position) => ({ id, position, phase, table })))],
      );
    },

    async selectSteps(db: Queryable, runId: string): Promise<StepRow[]> {
      return (
        await db.query<StepRow>(
          sql(`select s.id, s.phase, s.table_name, s.status, s.cursor, s.rows_done::float8 as rows_done, s.rows_total::float8 as rows_total, s.waiting_for, s.attempts, s.started_at, s.finished_at
               from tenantry.adoption_steps s where s.run_id = $1::uuid order by s.position`),
          [runId],
        )
      ).rows;
    },

    /** @returns false when another runner holds a lease whose backend is alive */
    async takeLease(db: Queryable, { runId, runner }: Fence, pid: number, seconds: number): Promise<boolean> {
      const { rowCount } = await db.query(
        sql(`update tenantry.adoption_runs r set runner = $2::uuid, runner_pid = $3::int, lease_until = now() + make_interval(secs => $4::float8), updated_at = now()
             where r.id = $1::uuid and r.status = 'open'
               and (r.runner is null or r.runner = $2::uuid or r.lease_until <= now()
                    or not exists (select from pg_catalog.pg_stat_activity a where a.pid = r.runner_pid and a.datname = current_database()))`),
        [runId, runner, pid, seconds],
      );
      return rowCount === 1;
    },

    async dropLease(db: Queryable, { runId, runner }: Fence, lastError: string | null): Promise<void> {
      await db.query(
        sql(`update tenantry.adoption_runs r set runner = null, runner_pid = null, lease_until = null, last_error = $3::text, updated_at = now()
             where r.id = $1::uuid and r.runner = $2::uuid`),
        [runId, runner, lastError],
      );
    },

    async setPhase(
      db: Queryable,
      { runId, runner }: Fence,
      phase: Phase,
      direction: 'forward' | 'undo',
    ): Promise<boolean> {
      const { rowCount } = await db.query(
        sql(`update tenantry.adoption_runs r set phase = $3::text, direction = $4::text, updated_at = now(),
               finished_at = case when $3::text in ('enforced', 'contract') then coalesce(r.finished_at, now()) end
             where r.id = $1::uuid and r.runner = $2::uuid`),
        [runId, runner, phase, direction],
      );
      return rowCount === 1;
    },

    /** @returns false when the lease was lost: the caller's transaction must not commit */
    async setStep(db: Queryable, { runId, runner }: Fence, id: string, status: StepStatus): Promise<boolean> {
      const { rowCount } = await db.query(
        sql(`update tenantry.adoption_steps s set status = $4::text,
               started_at = case when $4::text = 'running' then now() else coalesce(s.started_at, now()) end,
               finished_at = case when $4::text in ('done', 'undone') then clock_timestamp() end,
               attempts = s.attempts + case when $4::text = 'running' then 1 else 0 end,
               waiting_for = null,
               cursor = case when $4::text = 'undone' then null else s.cursor end,
               rows_done = case when $4::text = 'undone' then 0 else s.rows_done end
             where s.run_id = $1::uuid and s.id = $3::text
               and exists (select from tenantry.adoption_runs r where r.id = s.run_id and r.runner = $2::uuid)`),
        [runId, runner, id, status],
      );
      return rowCount === 1;
    },

    async isPaused(db: Queryable, runId: string): Promise<boolean> {
      const { rows } = await db.query<{ paused: boolean }>(
        sql(`select r.paused_at is not null as paused from tenantry.adoption_runs r where r.id = $1::uuid`),
        [runId],
      );
      return rows[0]?.paused === true;
    },

    async setPaused(db: Queryable, runId: string, paused: boolean): Promise<void> {
      await db.query(
        sql(`update tenantry.adoption_runs r set paused_at = case when $2::boolean then coalesce(r.paused_at, now()) end, updated_at = now()
             where r.id = $1::uuid and r.status = 'open'`),
        [runId, paused],
      );
    },

    async setWaiting(db: Queryable, { runId, runner }: Fence, id: string, blockers: readonly string[]): Promise<void> {
      await db.query(
        sql(`update tenantry.adoption_steps s set waiting_for = $4::jsonb where s.run_id = $1::uuid and s.id = $3::text
               and exists (select from tenantry.adoption_runs r where r.id = s.run_id and r.runner = $2::uuid)`),
        [runId, runner, id, JSON.stringify(blockers)],
      );
    },

    async setTotal(db: Queryable, { runId }: Fence, id: string, rows: number): Promise<void> {
      await db.query(
        sql(
          `update tenantry.adoption_steps s set rows_total = $3::bigint where s.run_id = $1::uuid and s.id = $2::text`,
        ),
        [runId, id, Math.round(rows)],
      );
    },

    /** A table that is as it was before is no longer one that isolation knows. */
    async forgetTables(db: Queryable, plan: Plan): Promise<void> {
      await db.query(
        sql(`delete from tenantry.table_modes m using json_to_recordset($1::json) as t (schema text, name text)
             where m.mode = 'off' and m.table_schema = t.schema and m.table_name = t.name`),
        [JSON.stringify(plan.tables.map(({ schema: place, name }) => ({ schema: place, name })))],
      );
    },

    async closeUndone(db: Queryable, { runId, runner }: Fence): Promise<void> {
      await db.query(sql('delete from tenantry.legacy_logins'));
      await forgetOrganizations(db, sql, runId);
      await db.query(
        sql(`update tenantry.adoption_runs r set status = 'undone', phase = 'preflight', finished_at = now(), updated_at = now(), runner = null, runner_pid = null, lease_until = null
             where r.id = $1::uuid and r.runner = $2::uuid`),
        [runId, runner],
      );
    },
  };
}

const unused = `select o.id::text as id from tenantry.organizations o join tenantry.adoption_organizations a on a.organization_id = o.id
  where a.run_id = $1::uuid and not exists (select from tenantry.org_members m where m.tenant_id = o.id)`;

/** Removes the organizations that the run made. One that somebody joined meanwhile, or that rows of a hook refer to, is kept. */
async function forgetOrganizations(db: Queryable, sql: (text: string) => string, runId: string): Promise<void> {
  const forget = (which: string, value: string): Promise<unknown> =>
    db.query(sql(`delete from tenantry.organizations where id in (${which})`), [value]);
  try {
    await forget(`select u.id::uuid from (${unused}) u`, runId);
  } catch (error) {
    if (sqlStateOf(error) !== '23503') throw error;
    const { rows } = await db.query<Row & { id: string }>(sql(unused), [runId]);
    for (const { id } of rows) {
      await forget('$1::uuid', id).catch((one: unknown) => {
        if (sqlStateOf(one) !== '23503') throw one;
      });
    }
  }
}

export type State = ReturnType<typeof createState>;
