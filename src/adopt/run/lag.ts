import type { Queryable, Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';

/** How far a replica may be behind before the backfill waits for it. Either is enough. */
export interface MaxLag {
  readonly seconds?: number;
  readonly bytes?: number;
}

export interface ReplicaLag {
  readonly name: string;
  readonly bytes: number;
  readonly seconds: number;
}

const units: Record<string, number> = { b: 1, kb: 2 ** 10, mb: 2 ** 20, gb: 2 ** 30 };

/** Reads `16MB`. */
export function readBytes(text: string): number | undefined {
  const parts = /^(\d+(?:\.\d+)?)\s*(B|kB|MB|GB)$/i.exec(text.trim());
  const unit = units[parts?.[2]?.toLowerCase() ?? ''];
  return unit === undefined ? undefined : Number(parts?.[1]) * unit;
}

/** Reads `5s`, `500ms`, `16MB` or `off`. @throws TNT_USAGE */
export function readMaxLag(text: string): MaxLag {
  if (text.trim() === 'off') return {};
  const duration = /^(\d+(?:\.\d+)?)\s*(ms|s|min)$/.exec(text.trim());
  if (duration !== null) {
    const factor = duration[2] === 'ms' ? 0.001 : duration[2] === 's' ? 1 : 60;
    return { seconds: Number(duration[1]) * factor };
  }
  const bytes = readBytes(text);
  if (bytes === undefined)
    throw new TenantryError('TNT_USAGE', 'The lag must be a time or an amount of log: 5s, 500ms, 16MB, or off.');
  return { bytes };
}

interface Sender extends Row {
  name: string | null;
  visible: boolean;
  replayed: number | null;
  written: number;
  seconds: number | null;
}

export interface LagWatch {
  /** Replicas that are further behind than they may be; `hidden` when this login may not see any. */
  read(db: Queryable): Promise<{ behind: readonly ReplicaLag[]; hidden: boolean }>;
}

/**
 * Reads `pg_stat_replication`. Its own time of a replica whose replay stands still does not grow: what was written when is kept
 * here, so that the time behind is the age of the oldest write that the replica has not replayed.
 */
export function watchLag(limit: MaxLag): LagWatch {
  const written: { at: number; lsn: number }[] = [];
  const secondsBehind = (replayed: number): number => {
    const oldest = written.find(({ lsn }) => lsn > replayed);
    return oldest === undefined ? 0 : (performance.now() - oldest.at) / 1000;
  };
  return {
    async read(db) {
      const { rows } = await db.query<Sender>(
        `select coalesce(nullif(r.application_name, ''), 'replica') || coalesce(' at ' || host(r.client_addr), '') as name,
                r.state is not null as visible, extract(epoch from r.replay_lag)::float8 as seconds,
                pg_catalog.pg_wal_lsn_diff(r.replay_lsn, '0/0')::float8 as replayed,
                pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), '0/0')::float8 as written
         from pg_catalog.pg_stat_replication r where r.state is null or r.state in ('streaming', 'catchup')`,
      );
      const seen = rows.filter((row) => row.visible && row.replayed !== null);
      const lsn = rows[0]?.written ?? 0;
      if (rows.length > 0 && lsn > (written.at(-1)?.lsn ?? -1)) written.push({ at: performance.now(), lsn });
      const slowest = Math.min(...seen.map((row) => row.replayed ?? 0));
      while (written.length > 1 && (written[0]?.lsn ?? 0) <= slowest) written.shift();
      const lags = seen.map((row) => ({
        name: row.name ?? 'replica',
        bytes: Math.max(0, row.written - (row.replayed ?? 0)),
        seconds: secondsBehind(row.replayed ?? 0),
      }));
      return {
        behind: lags.filter(
          ({ bytes, seconds }) =>
            (limit.bytes !== undefined && bytes > limit.bytes) ||
            (limit.seconds !== undefined && seconds > limit.seconds),
        ),
        hidden: rows.length > 0 && seen.length === 0 && rows.every((row) => !row.visible),
      };
    },
  };
}

export function describeLag({ name, bytes, seconds }: ReplicaLag): string {
  return `${name} is ${seconds.toFixed(1)} s and ${(bytes / 2 ** 20).toFixed(1)} MB behind`;
}
