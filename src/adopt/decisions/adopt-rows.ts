import { translateDatabaseError } from '../../database/database-error.ts';
import type { PoolLike } from '../../database/kernel.ts';
import { renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import { type Plan, phases } from '../plan-types.ts';
import type { State } from '../run/state.ts';
import { allListings } from '../uniques/listing.ts';
import type { Listing } from './findings.ts';
import { listRows, type RowFinding } from './list.ts';
import { countQuarantine, type QuarantineCount } from './quarantine.ts';
import { type ReleaseOptions, type ReleaseResult, releaseRows } from './release.ts';

/** What a person does about rows that do not belong to one tenant. */
export interface AdoptRows {
  /**
   * Every row that a decision is needed or was made for, as batches: by the plan before its adoption has filled anything, by the data
   * from then on.
   *
   * @param plan needed while no adoption is open
   * @throws TNT_ADOPT_UNKNOWN
   */
  findings(plan: Plan | null): AsyncGenerator<readonly RowFinding[]>;
  /** Rows without a tenant in the tables where decisions leave some; empty before the columns are filled. */
  quarantine(): Promise<readonly QuarantineCount[]>;
  /** Takes rows out of quarantine: gives them to an organization, with what hangs on them. */
  release(options: ReleaseOptions): Promise<ReleaseResult>;
}

export function createAdoptRows({
  adminPool,
  schema,
  state,
}: {
  readonly adminPool: PoolLike;
  readonly schema: string;
  readonly state: State;
}): AdoptRows {
  const sql = (listing: Listing): Listing => ({ ...listing, text: renderSchema(listing.text, schema) });
  return {
    async *findings(plan) {
      const client = await adminPool.connect();
      let broken = true;
      try {
        await client.query('begin transaction isolation level repeatable read, read only');
        await client.query('set local search_path = pg_catalog, pg_temp');
        const run = await state.selectOpenRun(client);
        const wanted = run?.plan ?? plan;
        if (wanted === null) {
          broken = false;
          throw new TenantryError('TNT_ADOPT_UNKNOWN', 'There is no adoption and no plan to list rows by.');
        }
        const filled = run !== undefined && phases.indexOf(run.phase) >= phases.indexOf('backfill');
        yield* listRows(client, allListings(wanted, filled ? 'data' : 'plan').map(sql));
        broken = false;
      } catch (error) {
        throw translateDatabaseError(error);
      } finally {
        // also when the reader stopped in the middle: the cursor goes with the transaction
        await client.query('rollback').catch(() => undefined);
        client.release(broken);
      }
    },

    async quarantine() {
      const run = await state.selectOpenRun(adminPool);
      return run === undefined ? [] : countQuarantine(adminPool, run.plan, run.phase);
    },

    async release(options) {
      const run = await state.selectOpenRun(adminPool);
      if (run === undefined) throw new TenantryError('TNT_ADOPT_UNKNOWN', 'No adoption is open in this database.');
      return releaseRows({ pool: adminPool, schema, run }, options);
    },
  };
}
