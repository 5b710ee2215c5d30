import { type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import type { Phase } from '../plan-types.ts';
import type { Fence } from '../run/state.ts';
import type { HookEntry, HookMoment, HookOrganization } from './types.ts';

/** One hook that ran. */
export interface HookRow extends Row {
  name: string;
  moment: HookMoment;
  phase: Phase;
  organization_id: string | null;
  has_undo: boolean;
}

/** Of all organizations together, as status shows it. */
export interface HookSummary {
  readonly name: string;
  readonly moment: HookMoment;
  readonly phase: Phase;
  /** How often it ran: once, or once for each organization. */
  readonly runs: number;
  readonly lastRanAt: Date;
  /** What it logged last. */
  readonly messages: readonly string[];
}

type OrganizationRow = HookOrganization & Row;
const organizationColumns = 'o.id::text as id, o.number::text as number, o.name, o.slug, o.key';

/** The statements on `adoption_hooks`, one each, in the schema that was configured. */
export function createHookState(schema: string) {
  const sql = (text: string): string => renderSchema(text, schema);
  return {
    /**
     * Claims the hook for this transaction. Two that come at once: the second waits for the first and gets nothing.
     *
     * @returns its place and the transaction's id; undefined when it ran already, or the lease is lost
     */
    async claim(
      tx: Queryable,
      { runId, runner }: Fence,
      { name, moment, phase, undo }: HookEntry,
      organizationId: string | null,
    ): Promise<{ position: string; transaction: string } | undefined> {
      const { rows } = await tx.query<Row & { position: string; transaction: string }>(
        sql(`insert into tenantry.adoption_hooks (run_id, name, moment, phase, organization_id, has_undo)
             select r.id, $3::text, $4::text, $5::text, $6::uuid, $7::boolean from tenantry.adoption_runs r where r.id = $1::uuid and r.runner = $2::uuid
             on conflict do nothing
             returning position::text as position, pg_catalog.pg_current_xact_id()::text as transaction`),
        [runId, runner, name, moment, phase, organizationId, undo !== undefined],
      );
      return rows[0];
    },

    /** @returns the id of the transaction that this runs in */
    async finish(tx: Queryable, runId: string, position: string, messages: readonly string[]): Promise<string> {
      const { rows } = await tx.query<Row & { transaction: string }>(
        sql(`update tenantry.adoption_hooks h set messages = $3::text[] where h.run_id = $1::uuid and h.position = $2::bigint
             returning pg_catalog.pg_current_xact_id()::text as transaction`),
        [runId, position, messages],
      );
      return rows[0]?.transaction ?? '';
    },

    /** @returns the id of the transaction; undefined when it is undone already, or the lease is lost */
    async forget(
      tx: Queryable,
      { runId, runner }: Fence,
      name: string,
      organizationId: string | null,
    ): Promise<string | undefined> {
      const { rows } = await tx.query<Row & { transaction: string }>(
        sql(`delete from tenantry.adoption_hooks h where h.run_id = $1::uuid and h.name = $3::text and h.organization_id is not distinct from $4::uuid
               and exists (select from tenantry.adoption_runs r where r.id = h.run_id and r.runner = $2::uuid)
             returning pg_catalog.pg_current_xact_id()::text as transaction`),
        [runId, runner, name, organizationId],
      );
      return rows[0]?.transaction;
    },

    async selectTransaction(tx: Queryable): Promise<string> {
      const { rows } = await tx.query<Row & { transaction: string }>(
        'select pg_catalog.pg_current_xact_id()::text as transaction',
      );
      return rows[0]?.transaction ?? '';
    },

    /** In the order in which they ran. */
    async selectDone(db: Queryable, runId: string): Promise<HookRow[]> {
      return (
        await db.query<HookRow>(
          sql(
            `select h.name, h.moment, h.phase, h.organization_id::text as organization_id, h.has_undo from tenantry.adoption_hooks h where h.run_id = $1::uuid order by h.position`,
          ),
          [runId],
        )
      ).rows;
    },

    async selectSummary(db: Queryable, runId: string): Promise<HookSummary[]> {
      const { rows } = await db.query<HookSummary & Row>(
        sql(`select h.name, h.moment, h.phase, count(*)::int as runs, max(h.ran_at) as "lastRanAt",
                    coalesce((array_agg(to_jsonb(h.messages) order by h.position desc))[1], '[]'::jsonb) as messages
             from tenantry.adoption_hooks h where h.run_id = $1::uuid group by h.name, h.moment, h.phase order by min(h.position)`),
        [runId],
      );
      return rows;
    },

    /** Organizations that the run made and this hook has not seen, at most `limit`. */
    async selectPending(db: Queryable, runId: string, name: string, limit: number): Promise<HookOrganization[]> {
      const { rows } = await db.query<OrganizationRow>(
        sql(`select ${organizationColumns} from tenantry.adoption_organizations a join tenantry.organizations o on o.id = a.organization_id
             where a.run_id = $1::uuid
               and not exists (select from tenantry.adoption_hooks h where h.run_id = a.run_id and h.organization_id = o.id and h.name = $2::text)
             order by o.id limit $3::int`),
        [runId, name, limit],
      );
      return rows;
    },

    async selectOrganizations(db: Queryable, ids: readonly string[]): Promise<HookOrganization[]> {
      const { rows } = await db.query<OrganizationRow>(
        sql(`select ${organizationColumns} from tenantry.organizations o where o.id = any($1::uuid[]) order by o.id`),
        [ids],
      );
      return rows;
    },

    /** Remembers which hooks the run has, so that a later command without them is noticed. */
    async rememberNames(db: Queryable, { runId, runner }: Fence, names: readonly string[]): Promise<void> {
      await db.query(
        sql(`update tenantry.adoption_runs r set hooks = array(select distinct u.n from unnest(r.hooks || $3::text[]) u (n) order by 1)
             where r.id = $1::uuid and r.runner = $2::uuid and not r.hooks @> $3::text[]`),
        [runId, runner, names],
      );
    },

    /** Takes back the beginning of a run of which nothing has happened. */
    async forgetUntouched(db: Queryable, runId: string): Promise<void> {
      await db.query(
        sql(`delete from tenantry.adoption_runs r where r.id = $1::uuid and r.status = 'open' and r.runner is null
               and not exists (select from tenantry.adoption_hooks h where h.run_id = r.id)
               and not exists (select from tenantry.adoption_steps s where s.run_id = r.id and s.status <> 'pending')`),
        [runId],
      );
    },
  };
}

export type HookState = ReturnType<typeof createHookState>;
