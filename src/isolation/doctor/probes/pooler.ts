import { randomUUID } from 'node:crypto';
import type { ClientLike, PoolLike } from '../../../database/kernel.ts';
import type { Queryable } from '../../../database/sql.ts';
import type { CheckRow } from '../finding.ts';
import type { Probe } from './probe.ts';

/** What two clients of one URL learned about each other. */
export interface PoolerObservation {
  /** One client was served by several server processes, or both by the same one. */
  readonly shared: boolean;
  /** A session setting of the first client was read by the second. */
  readonly bled: boolean;
}

const rounds = 4;
const patience = 2000;

/** Opens two clients, sets a session setting on one and looks for it from the other. Leaves nothing behind. */
export const pooler: Probe = async ({ connections, pooler: declared }) => {
  if (connections === undefined) return { skipped: 'it needs two connections and was given one' };
  const clients = await openTwo(connections);
  if (clients === undefined) return { skipped: 'a second connection was not to be had' };
  try {
    return judge(await observe(...clients), declared);
  } finally {
    for (const client of clients) client.release(true);
  }
};

/** Asks over two clients in turn, so that a pooler has every chance to give them the same server process. */
export async function observe(first: Queryable, second: Queryable): Promise<PoolerObservation> {
  const pids = { first: new Set<number>(), second: new Set<number>() };
  for (let round = 0; round < rounds; round += 1) {
    pids.first.add(await pidOf(first));
    pids.second.add(await pidOf(second));
  }
  const secret = randomUUID();
  let bled = false;
  try {
    await set(first, secret);
    for (let round = 0; round < rounds && !bled; round += 1) bled = (await read(second)) === secret;
  } finally {
    // behind a pooler the setting stays on the server process: whoever meets it takes it away
    for (const client of [first, second]) if ((await read(client)) === secret) await set(client, '');
  }
  const shared = pids.first.size > 1 || pids.second.size > 1 || [...pids.first].some((pid) => pids.second.has(pid));
  return { shared, bled };
}

/** What an observation means. Pure. */
export function judge({ shared, bled }: PoolerObservation, declared: 'none' | 'transaction'): CheckRow[] {
  if (declared === 'transaction' || !(shared || bled)) return [];
  return [
    {
      object: 'connection',
      level: bled ? null : 'warn',
      detail: bled
        ? 'a pooler stands between, and a session setting of one client was read by another: what a request sets with SET meets the next tenant'
        : 'a pooler stands between: one client is served by several server processes, so nothing of a session can be relied on',
      fix: "Set pooler: 'transaction' in tenantry.config.ts, and never SET without LOCAL; or connect without the pooler.",
      statement: null,
      key: 'transaction-pooler',
    },
  ];
}

async function openTwo(pool: PoolLike): Promise<[ClientLike, ClientLike] | undefined> {
  const opening = [pool.connect(), pool.connect()] as const;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, patience, undefined);
  });
  try {
    const opened = await Promise.race([Promise.all(opening).catch(() => undefined), late]);
    // refused, or a pool of one: it hands the second out only after the first came back
    if (opened === undefined)
      for (const one of opening) void one.then((client) => client.release(true)).catch(() => {});
    return opened;
  } finally {
    clearTimeout(timer);
  }
}

async function pidOf(client: Queryable): Promise<number> {
  const { rows } = await client.query<{ pid: number }>('select pg_catalog.pg_backend_pid() as pid');
  return (rows as [{ pid: number }])[0].pid;
}

async function set(client: Queryable, value: string): Promise<void> {
  await client.query("select pg_catalog.set_config('tenantry.doctor_probe', $1, false)", [value]);
}

async function read(client: Queryable): Promise<string | null> {
  const { rows } = await client.query<{ value: string | null }>(
    "select pg_catalog.current_setting('tenantry.doctor_probe', true) as value",
  );
  return (rows as [{ value: string | null }])[0].value;
}
