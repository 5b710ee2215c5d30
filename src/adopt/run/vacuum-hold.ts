import { sqlStateOf } from '../../database/database-error.ts';
import type { ClientLike, PoolLike } from '../../database/kernel.ts';
import type { Row } from '../../database/sql.ts';
import { isWaitedFor } from './backfill-queries.ts';

/**
 * Keeps autovacuum off the tables that are being filled while nobody else is at work: what it tidies up there in mid-course the next
 * window leaves behind again, and it writes images of whole pages for that.
 *
 * One session has them locked in SHARE UPDATE EXCLUSIVE mode, which no reader and no writer feels and for which autovacuum does not
 * wait. It writes nothing, has no snapshot and never waits, and its locks are gone with it. It lets all of them go
 * - when others are at work, or somebody waits for one of the tables: whoever alters or vacuums it, or autovacuum itself when ids are
 *   about to wrap around. It looks four times in a second;
 * - when no batch has run for five seconds: the run rests;
 * - after half an hour, so that autovacuum gets its turn.
 *
 * When it was waited for, lost its connection or had its half hour, it keeps away for a minute and a half: autovacuum sleeps for one.
 * It is a help: nothing fails without it.
 */
export interface VacuumHold {
  /** Before each batch of a relation. Returns at once. */
  keep(relation: string): void;
  /** After the last batch. When it returns, nothing is held on the relation. Never throws. */
  drop(relation: string): Promise<void>;
}

const lookEvery = 250;
const restsAfter = 5000;
const longest = 30 * 60_000;
const awayFor = 90_000;
/** Somebody else was at the table: each try that fails is a line in the server's log. */
const againAfter = 10_000;

/** Of the defaults of a server or a login none may end a session that does nothing, or give it a snapshot. */
const prepare = `select pg_catalog.pg_backend_pid() as pid, pg_catalog.set_config('application_name', 'tenantry adopt', false),
    (select count(pg_catalog.set_config(s.name, '0', false)) from pg_catalog.pg_settings s
     where s.name in ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout', 'statement_timeout'))`;
const begin = 'begin transaction isolation level read committed';

interface Session {
  readonly client: ClientLike;
  readonly pid: number;
  readonly since: number;
  readonly held: Set<string>;
  lost: boolean;
}

export function createVacuumHold({
  pool,
  spare,
  alone,
}: {
  readonly pool: PoolLike;
  /** The pool has a connection for this; without one nothing is held. */
  readonly spare: boolean;
  readonly alone: () => Promise<boolean>;
}): VacuumHold {
  /** When the last batch of each began. */
  const filling = new Map<string, number>();
  const notBefore = new Map<string, number>();
  let away = 0;
  let session: Session | undefined;
  let looking = false;
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> = Promise.resolve();

  const stayAway = (): void => {
    away = performance.now() + awayFor;
  };
  const end = (): void => {
    session?.client.release(true);
    session = undefined;
  };
  /** One change after the other; one that fails leaves nothing behind. */
  const inTurn = (change: () => Promise<void>): Promise<void> => {
    turn = turn.then(change).catch(() => {
      stayAway();
      end();
    });
    return turn;
  };

  /** Locks go with the transaction only. */
  const letGo = async (ended: (relation: string) => boolean): Promise<void> => {
    if (session === undefined || ![...session.held].some(ended)) return;
    const others = [...session.held].filter((relation) => !ended(relation));
    session.held.clear();
    await session.client.query('commit');
    if (others.length > 0) await take(session, others);
    if (session.held.size === 0) end();
  };

  const take = async ({ client, held }: Session, relations: readonly string[]): Promise<void> => {
    if (held.size === 0) await client.query(begin);
    for (const relation of relations) {
      try {
        await client.query(
          `savepoint asked; lock table only ${relation} in share update exclusive mode nowait; release savepoint asked`,
        );
        held.add(relation);
      } catch (error) {
        const state = sqlStateOf(error);
        if (state === undefined) throw error;
        await client.query('rollback to savepoint asked');
        notBefore.set(relation, state === '55P03' ? performance.now() + againAfter : Infinity);
      }
    }
  };

  const look = async (): Promise<void> => {
    const now = performance.now();
    if (session?.lost === true) throw new Error('the connection was lost');
    if (session !== undefined && (now - session.since > longest || (await isWaitedFor(pool, session.pid)))) stayAway();
    const may = (await alone()) && now >= away;
    const wanted = (relation: string): boolean => may && now - (filling.get(relation) ?? -Infinity) < restsAfter;
    await letGo((relation) => !wanted(relation));
    const more = [...filling.keys()].filter(
      (relation) =>
        wanted(relation) && session?.held.has(relation) !== true && now >= (notBefore.get(relation) ?? -Infinity),
    );
    if (more.length === 0) return;
    session ??= await open(pool);
    if (session === undefined) return;
    await take(session, more);
    if (session.held.size === 0) end();
  };

  return {
    keep(relation) {
      if (!spare) return;
      filling.set(relation, performance.now());
      timer ??= setInterval(() => {
        if (looking) return;
        looking = true;
        void inTurn(look).finally(() => {
          looking = false;
        });
      }, lookEvery).unref();
    },
    async drop(relation) {
      filling.delete(relation);
      if (filling.size === 0) {
        clearInterval(timer);
        timer = undefined;
      }
      await inTurn(() => letGo((held) => held === relation));
    },
  };
}

/** A connection that nobody waits for, or none. */
async function open(pool: PoolLike): Promise<Session | undefined> {
  const { options, totalCount = 0, idleCount = 0, waitingCount = 0 } = pool as PoolLike & Partial<Counts>;
  if (waitingCount > 0 || (idleCount === 0 && totalCount >= (options?.max ?? Infinity))) return undefined;
  const client = await pool.connect();
  const opened: Session = { client, pid: 0, since: performance.now(), held: new Set(), lost: false };
  // it is the server's, or its administrator's, to end it
  (client as { on?: Listen }).on?.('error', () => {
    opened.lost = true;
  });
  try {
    const { rows } = await client.query<Row & { pid: number }>(prepare);
    return Object.assign(opened, { pid: rows[0]?.pid ?? 0 });
  } catch (error) {
    client.release(true);
    throw error;
  }
}

type Listen = (event: 'error', listener: (error: Error) => void) => unknown;

/** What a pool of `pg` tells of itself. */
interface Counts {
  readonly options: { readonly max?: number };
  readonly totalCount: number;
  readonly idleCount: number;
  readonly waitingCount: number;
}
