import { sqlStateOf } from '../../database/database-error.ts';
import type { Queryable, Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';

/** Hours of the day in which a run works; over midnight where `from` is later than `to`. */
export interface RunWindow {
  /** `22:00` */
  readonly from: string;
  /** `06:00` */
  readonly to: string;
  /** A name that the server knows, as `Europe/Berlin`. Default: the server's own. */
  readonly timeZone?: string;
}

export interface WindowState {
  readonly open: boolean;
  readonly opensAt: Date;
  readonly timeZone: string;
}

const time = '([01]?\\d|2[0-3]):[0-5]\\d';

/** Reads `22:00-06:00`. @throws TNT_USAGE */
export function readWindow(text: string, timeZone?: string): RunWindow {
  const parts = new RegExp(`^(${time})\\s*-\\s*(${time})$`).exec(text.trim());
  const [from, to] = [parts?.[1], parts?.[3]];
  if (from === undefined || to === undefined || from === to)
    throw new TenantryError('TNT_USAGE', 'The window must be two different times of day, as 22:00-06:00.');
  return { from, to, ...(timeZone === undefined ? {} : { timeZone }) };
}

/** By the server's clock. @throws TNT_USAGE for a time zone that the server does not know */
export async function readWindowState(db: Queryable, window: RunWindow): Promise<WindowState> {
  try {
    const { rows } = await db.query<Row & { open: boolean; opens: Date; zone: string }>(
      `select z.zone, o.open, ((n.l::date + case when n.l::time < $1::time then 0 else 1 end) + $1::time) at time zone z.zone as opens
       from (select coalesce($3::text, current_setting('TimeZone')) as zone) z
       cross join lateral (select clock_timestamp() at time zone z.zone as l) n
       cross join lateral (select case when $1::time <= $2::time then n.l::time >= $1::time and n.l::time < $2::time
                                       else n.l::time >= $1::time or n.l::time < $2::time end as open) o`,
      [window.from, window.to, window.timeZone ?? null],
    );
    const [row] = rows;
    return { open: row?.open ?? true, opensAt: row?.opens ?? new Date(), timeZone: row?.zone ?? '' };
  } catch (error) {
    if (sqlStateOf(error) !== '22023') throw error;
    throw new TenantryError('TNT_USAGE', `The server knows no time zone ${window.timeZone ?? ''}.`, {
      hint: 'Name one of pg_timezone_names, as Europe/Berlin.',
      cause: error,
    });
  }
}
