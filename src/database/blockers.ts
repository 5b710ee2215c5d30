import type { Queryable } from './sql.ts';

/** A session that keeps another one waiting. */
export interface Blocker {
  readonly pid: number;
  readonly login: string | null;
  readonly application: string | null;
  /** As in pg_stat_activity: `active`, `idle in transaction`, … */
  readonly state: string | null;
  readonly transactionSeconds: number | null;
  /** Since when it is in this state: how long it has been idle, or its statement has run. */
  readonly since: Date | null;
  /** The first words of its statement; never a constant. Null when this login may not see it. */
  readonly statement: string | null;
}

interface BlockerRow extends Record<string, unknown> {
  pid: number;
  login: string | null;
  application: string | null;
  state: string | null;
  seconds: number | null;
  since: Date | null;
  statement: string | null;
}

/** Who keeps the session `pid` waiting now. Run it on another connection while that session waits. */
export async function findBlockers(observer: Queryable, pid: number): Promise<Blocker[]> {
  const { rows } = await observer.query<BlockerRow>(
    `select a.pid, a.usename::text as login, a.application_name as application, a.state,
            extract(epoch from clock_timestamp() - a.xact_start)::float8 as seconds, a.state_change as since,
            nullif(a.query, '<insufficient privilege>') as statement
     from (select distinct b.pid from unnest(pg_catalog.pg_blocking_pids($1::int)) b(pid)) b
     join pg_catalog.pg_stat_activity a on a.pid = b.pid
     order by a.xact_start nulls last`,
    [pid],
  );
  return rows.map(({ pid, login, application, state, seconds, since, statement }) => ({
    pid,
    login,
    application,
    state,
    transactionSeconds: seconds,
    since,
    statement: statement === null ? null : firstWords(statement),
  }));
}

/** The leading words of a statement, up to the first thing that could be a value. */
export function firstWords(text: string): string {
  const plain = text.replace(/\/\*[\s\S]*?\*\/|--[^\n]*/g, ' ').trim();
  const words: string[] = [];
  for (const word of plain.split(/\s+/)) {
    if (words.length === 6 || !/^[a-z_"][\w".]*[(,;]?$/i.test(word)) break;
    words.push(word);
    if (/^(values|set|where|returning)$/i.test(word)) break; // values follow
  }
  return words.length === 0 ? '…' : `${words.join(' ')} …`;
}

/** One line for a person: `process 4711 ("shop web" as shop, idle in transaction for 12 s since 03:04:05Z): update orders …`. */
export function describeBlocker({
  pid,
  login,
  application,
  state,
  transactionSeconds,
  since,
  statement,
}: Blocker): string {
  const age = transactionSeconds === null ? '' : ` for ${Math.round(transactionSeconds)} s`;
  const from = since == null ? '' : ` since ${since.toISOString().slice(11, 19)}Z`;
  const name = login ?? 'background';
  const session = application === null || application === '' ? name : `"${application}" as ${name}`;
  const who = `process ${pid} (${session}, ${state ?? 'state not visible'}${age}${from})`;
  return statement === null ? who : `${who}: ${statement}`;
}
