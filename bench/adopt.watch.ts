import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';

export interface LockWatch {
  /** Longest wait of the application for a lock that Tenantry held, and for any, in milliseconds. */
  stop(): Promise<{ behindTenantry: number; behindAnybody: number; what: string }>;
}

/** Looks every 10 ms at what the application waits for: as a superuser, on a connection of its own. */
export function watchLocks(superuser: pg.Pool, application: string): LockWatch {
  const longest = { behindTenantry: 0, behindAnybody: 0, what: '' };
  let stopped = false;
  const watching = (async () => {
    while (!stopped) {
      const { rows } = await superuser.query<{ ms: number; ours: boolean; what: string }>({
        name: 'waits',
        text: `select extract(epoch from clock_timestamp() - l.waitstart)::float8 * 1000 as ms,
                      exists (select from pg_stat_activity b where b.pid = any (pg_blocking_pids(l.pid)) and b.usename = 'tenantry_admin') as ours,
                      format('%s %s %s', l.locktype, l.mode, l.relation::regclass) as what
               from pg_locks l join pg_stat_activity a on a.pid = l.pid
               where not l.granted and a.application_name = $1 and a.datname = current_database()`,
        values: [application],
      });
      for (const { ms, ours, what } of rows) {
        longest.behindAnybody = Math.max(longest.behindAnybody, ms);
        if (!ours || ms <= longest.behindTenantry) continue;
        longest.behindTenantry = ms;
        longest.what = what;
      }
      await sleep(10);
    }
  })();
  return {
    async stop() {
      stopped = true;
      await watching;
      return longest;
    },
  };
}
