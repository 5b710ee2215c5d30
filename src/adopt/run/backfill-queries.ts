import type { Queryable, Row } from '../../database/sql.ts';

export async function backendPid(db: Queryable): Promise<number> {
  const { rows } = await db.query<Row & { pid: number }>('select pg_catalog.pg_backend_pid() as pid');
  return rows[0]?.pid ?? 0;
}

export async function selectSize(
  db: Queryable,
  relation: string,
): Promise<{ pages: number; rows: number; bytes: number }> {
  const { rows } = await db.query<Row & { pages: number; rows: number; bytes: number }>(
    `select (pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::bigint)::float8 as pages, greatest(c.reltuples, 0)::float8 as rows,
            case when c.reltuples > 0 and c.relpages > 0 then c.relpages * current_setting('block_size')::float8 / c.reltuples - 4 else 100 end as bytes
     from pg_catalog.pg_class c where c.oid = $1::regclass`,
    [relation],
  );
  return rows[0] ?? { pages: 0, rows: 0, bytes: 100 };
}

/**
 * `pinned`: something older than two seconds keeps the server from pruning, and stripes then only cost. A VACUUM is nobody's reason to.
 * `vacuumed`: autovacuum works on this table now, as far as this login may see.
 */
export async function lookAtServer(db: Queryable, relation: string): Promise<{ pinned: boolean; vacuumed: boolean }> {
  const { rows } = await db.query<Row & { pinned: boolean; vacuumed: boolean }>(
    `select exists (select from pg_catalog.pg_stat_activity a
                    where a.backend_xmin is not null and a.pid <> pg_catalog.pg_backend_pid()
                      and a.xact_start < clock_timestamp() - interval '2 seconds' and a.backend_type = 'client backend'
                      and not exists (select from pg_catalog.pg_stat_progress_vacuum v where v.pid = a.pid))
         or exists (select from pg_catalog.pg_prepared_xacts p where p.prepared < clock_timestamp() - interval '2 seconds')
         or exists (select from pg_catalog.pg_replication_slots s where s.xmin is not null and pg_catalog.age(s.xmin) > 100000) as pinned,
            exists (select from pg_catalog.pg_stat_progress_vacuum v join pg_catalog.pg_stat_activity a on a.pid = v.pid
                    where v.relid = $1::regclass and a.backend_type = 'autovacuum worker') as vacuumed`,
    [relation],
  );
  return { pinned: rows[0]?.pinned === true, vacuumed: rows[0]?.vacuumed === true };
}

/** Somebody waits for a table that the session `pid` holds: to alter it, to vacuum it, or to keep its ids from wrapping around. */
export async function isWaitedFor(db: Queryable, pid: number): Promise<boolean> {
  const { rows } = await db.query<Row & { waiting: boolean }>(
    `select exists (select from pg_catalog.pg_locks h
                    join pg_catalog.pg_locks w on w.locktype = h.locktype and w.database = h.database and w.relation = h.relation
                    where h.pid = $1::int and h.locktype = 'relation' and h.mode = 'ShareUpdateExclusiveLock' and not w.granted) as waiting`,
    [pid],
  );
  return rows[0]?.waiting === true;
}
