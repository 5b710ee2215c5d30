import pg from 'pg';

/** Watches how long sessions wait for locks, from a connection of its own, every 20 ms. */
export async function watchLocks(url: string): Promise<{ stop(): Promise<number> }> {
  const client = new pg.Client({ connectionString: url, application_name: 'tenantry lock watch' });
  client.on('error', () => {});
  await client.connect();
  let running = true;
  let longest = 0;
  const loop = async (): Promise<void> => {
    while (running) {
      const { rows } = await client.query<{ waited: number | null }>(
        `select max(extract(epoch from pg_catalog.clock_timestamp() - l.waitstart) * 1000)::float8 as waited
         from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
         where not l.granted and a.application_name not like 'tenantry%'`,
      );
      longest = Math.max(longest, rows[0]?.waited ?? 0);
      await new Promise((done) => setTimeout(done, 20));
    }
  };
  const watching = loop().catch(() => {}); // the watch must not end what it watches
  return {
    async stop() {
      running = false;
      await watching;
      await client.end();
      return longest;
    },
  };
}
