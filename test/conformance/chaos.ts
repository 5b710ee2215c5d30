import pg from 'pg';
import type { TestDatabase } from '../support/database.ts';

export interface Chaos {
  /** Backends that were really cancelled or ended. */
  ended(): number;
  stop(): Promise<void>;
}

/** Enough to hit every connection many times; more would only measure how fast the machine reconnects. */
const strikes = 40;

/** Cancels and terminates random backends of the application until it is stopped. */
export async function startChaos(database: TestDatabase): Promise<Chaos> {
  const admin = new pg.Client({ connectionString: database.superuserUrl });
  await admin.connect();
  const stopping = new AbortController();
  let ended = 0;
  const strike = async (): Promise<void> => {
    for (let round = 1; round <= strikes && !stopping.signal.aborted; round++) {
      const how = round % 4 === 0 ? 'pg_terminate_backend' : 'pg_cancel_backend';
      const { rows } = await admin.query<{ struck: boolean }>(
        `select ${how}(pid) as struck from (
           select pid from pg_stat_activity where datname = $1 and usename = 'Tenantry_Test_App' order by random() limit 1
         ) as victim`,
        [database.name],
      );
      if (rows[0]?.struck === true) ended++;
      await new Promise((done) => setTimeout(done, 8));
    }
  };
  const striking = strike();
  return {
    ended: () => ended,
    async stop() {
      stopping.abort();
      await striking;
      await admin.end();
    },
  };
}
