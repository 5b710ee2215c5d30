import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sqlStateOf } from '../../database/database-error.ts';
import type { PoolLike } from '../../database/kernel.ts';
import type { Queryable, Row } from '../../database/sql.ts';
import { copyIn } from './copy.ts';
import { heavyOperations, nightlyJob, nightlyJobOfShop } from './heavy-operations.ts';
import { createStretch, type LatencyStats, type Stretch } from './latencies.ts';
import { countLost, createLedger } from './ledger.ts';
import { type Operation, operations, type ShopState, type Statements } from './operations.ts';

export interface WorkloadOptions {
  /** Requests at a time. Default 4. */
  readonly clients?: number;
  /** Pause of each client between two requests, in milliseconds. Default 2. */
  readonly pause?: number;
  /** Also soft deletes, COPY, rows that change shops and the nightly job. Default false. */
  readonly heavy?: boolean;
  /** Requests of the first client between two nightly jobs. Default 200. */
  readonly nightlyEvery?: number;
  /** Told of every statement that failed. */
  readonly onError?: (error: unknown, operation: string) => void;
}

/** A version of the application: how it reaches the database. */
export interface Deployment {
  readonly pool: PoolLike;
  /** Runs one request of a shop; the new version sets the tenant here. */
  readonly withShop?: <T>(shopId: string, request: () => Promise<T>) => Promise<T>;
}

export interface WorkloadStats {
  readonly requests: number;
  readonly statements: number;
  readonly failed: number;
  /** Requests that found no server, or lost it: a server that was killed, never a statement that was refused. */
  readonly disconnected: number;
  /** Named SELECT * statements that the server refused once after a column had come, and that were prepared again. */
  readonly preparedAgain: number;
  readonly byOperation: Readonly<Record<string, number>>;
  /** Longest statement, in milliseconds: what the worst-off user waited. */
  readonly slowest: number;
  readonly slowestOperation: string;
  /** 50 % and 99 % of the last 20,000 statements took at most this, in milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly secondsRunning: number;
}

export interface Workload {
  /** From the next request on, the application runs in this version. */
  deploy(next: Deployment): Promise<void>;
  stats(): WorkloadStats;
  /** Starts the measure of the slowest statement again. */
  resetSlowest(): void;
  /** Measures from now on, beside what else is measured; `read` at the end. */
  measure(): { read(): LatencyStats };
  /**
   * From here on rows of the old version come by COPY into a temporary table and INSERT … SELECT: PostgreSQL refuses COPY into a table with policies,
   * so an application must be changed in this before shadow. `false` takes that back.
   */
  stageCopies(staged: boolean): void;
  stop(): Promise<WorkloadStats>;
  /** Committed writes that the database no longer has as they were made. Call it after `stop`. */
  countLost(db: Queryable): Promise<number>;
}

/**
 * The old application of the sample shop: reads and writes without a break, knowing nothing of tenants. Each client works for its
 * own shops, so that the application never blocks itself.
 *
 * @param url the old application's own login
 */
export async function startWorkload(url: string, options: WorkloadOptions = {}): Promise<Workload> {
  const { clients = 4, pause = 2, heavy = false, nightlyEvery = 200, onError } = options;
  const requests = heavy ? [...operations, ...heavyOperations] : operations;
  const old = new pg.Pool({ connectionString: url, max: clients, application_name: 'sample shop' });
  old.on('error', () => {}); // an idle connection that was ended is replaced
  const shops = await readShops(old);
  const ledger = createLedger();
  const stretches = new Set<Stretch>();
  let staged = false;
  const counts = new Map<string, number>();
  const latencies: number[] = [];
  let deployment: Deployment = { pool: old };
  let generation = 0;
  let version = 0;
  let stopped = false;
  let slowest = { milliseconds: 0, operation: '' };
  const total = { requests: 0, statements: 0, failed: 0, disconnected: 0, preparedAgain: 0 };
  const started = performance.now();

  const timed = async <R extends Row>(
    db: Queryable,
    operation: string,
    text: string,
    values: readonly unknown[],
    name?: string,
  ) => {
    const config = name === undefined ? { text, values } : { text, values, name: `${name}_v${version}` };
    return clocked(operation, async () => (await (db as unknown as pg.Pool).query<R>(config as pg.QueryConfig)).rows);
  };

  const clocked = async <T>(operation: string, fn: () => Promise<T>): Promise<T> => {
    const before = performance.now();
    try {
      return await fn();
    } finally {
      const milliseconds = performance.now() - before;
      total.statements += 1;
      latencies[total.statements % 20_000] = milliseconds;
      for (const stretch of stretches) stretch.add(milliseconds, operation);
      if (milliseconds > slowest.milliseconds) slowest = { milliseconds, operation };
    }
  };

  const statementsOn = (db: Queryable, operation: string): Statements => ({
    query: (text, values = []) => timed(db, operation, text, values),
    async named(name, text, values = []) {
      const before = version;
      try {
        return await timed(db, operation, text, values, name);
      } catch (error) {
        // "cached plan must not change result type": what Rails, JDBC, npgsql and asyncpg do as well
        if (sqlStateOf(error) !== '0A000') throw error;
        total.preparedAgain += 1;
        if (version === before) version += 1;
        return timed(db, operation, text, values, name);
      }
    },
    async copy(table, columns, lines) {
      const names = columns.join(', ');
      const own = `copied_${table}`;
      if (deployment.withShop !== undefined) {
        const rows = lines.map((line) => line.split('\t'));
        const places = rows.map((row, r) => `(${row.map((_, c) => `$${r * row.length + c + 1}`).join(', ')})`);
        await timed(
          deployment.pool,
          operation,
          `insert into ${table} (${names}) values ${places.join(', ')}`,
          rows.flat(),
        );
        return;
      }
      if (!staged) {
        await onClient((client) =>
          clocked(operation, () => copyIn(client, `copy ${table} (${names}) from stdin`, lines)),
        );
        return;
      }
      await onClient(async (client) => {
        await timed(client, operation, 'begin', []);
        await timed(
          client,
          operation,
          `create temp table ${own} on commit drop as select ${names} from ${table} limit 0`,
          [],
        );
        await clocked(operation, () => copyIn(client, `copy ${own} (${names}) from stdin`, lines));
        await timed(client, operation, `insert into ${table} (${names}) select ${names} from ${own}`, []);
        await timed(client, operation, 'commit', []);
      });
    },
    transaction: (fn) =>
      onClient(async (client) => {
        await timed(client, operation, 'begin', []);
        const result = await fn(statementsOn(client, operation));
        await timed(client, operation, 'commit', []);
        return result;
      }),
  });

  /** A connection for one request; a transaction that it leaves open is rolled back. */
  const onClient = async <T>(fn: (client: Queryable) => Promise<T>): Promise<T> => {
    const client = await deployment.pool.connect();
    let broken: Error | undefined;
    const onLost = (lost: Error): void => {
      broken = lost;
    };
    const listening = client as unknown as Partial<pg.Client>;
    listening.on?.('error', onLost);
    try {
      return await fn(client);
    } catch (error) {
      await client.query('rollback').catch(onLost);
      throw error;
    } finally {
      listening.off?.('error', onLost);
      client.release(broken);
    }
  };

  const request = async (shop: ShopState, operation: Operation, other = shop): Promise<void> => {
    const { pool, withShop } = deployment;
    const work = () => operation.run(statementsOn(pool, operation.name), shop, ledger, other);
    try {
      await (withShop === undefined ? work() : withShop(shop.id, work));
      counts.set(operation.name, (counts.get(operation.name) ?? 0) + 1);
    } catch (error) {
      if (isDisconnect(error)) total.disconnected += 1;
      else {
        total.failed += 1;
        onError?.(error, operation.name);
      }
    }
    total.requests += 1;
  };

  const running = new Map<number, number>();
  const client = async (number: number): Promise<void> => {
    const own = shops.filter((_, i) => i % clients === number);
    for (let turn = 0; !stopped; turn += 1) {
      running.set(number, generation);
      const nightly = heavy && number === 0 && turn % nightlyEvery === nightlyEvery - 1;
      if (nightly && deployment.withShop !== undefined) {
        for (const each of shops) await request(each, nightlyJobOfShop);
        continue;
      }
      const operation = nightly ? nightlyJob : requests[(turn * 7 + number) % requests.length];
      const shop = own[(turn * 3 + Math.floor(turn / 11)) % own.length];
      if (operation === undefined || shop === undefined) break;
      // a new shop is the platform's business: the new version makes it as an organization
      if (operation.opensShop && (deployment.withShop !== undefined || turn % 20 !== 0)) continue;
      if (operation.crossesShops) {
        const other = own[(own.indexOf(shop) + 1) % own.length] ?? shop;
        if (deployment.withShop === undefined && other !== shop) await request(shop, operation, other);
      } else if (operation.opensShop) {
        await request(shop, {
          ...operation,
          run: async (...given) => void own.push(...((await operation.run(...given)) ?? [])),
        });
      } else await request(shop, operation);
      await sleep(pause);
    }
    running.delete(number);
  };
  const all = Promise.all(Array.from({ length: clients }, (_, number) => client(number)));

  const stats = (): WorkloadStats => {
    const sorted = latencies.filter((ms) => ms !== undefined).sort((a, b) => a - b);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return {
      ...total,
      byOperation: Object.fromEntries(counts),
      slowest: slowest.milliseconds,
      slowestOperation: slowest.operation,
      p50: at(0.5),
      p99: at(0.99),
      secondsRunning: (performance.now() - started) / 1000,
    };
  };

  let oldEnded = false;
  return {
    async deploy(next) {
      deployment = next;
      generation += 1;
      while (!stopped && [...running.values()].some((at) => at < generation)) await sleep(5);
      if (!oldEnded) await old.end();
      oldEnded = true;
    },
    stats,
    resetSlowest() {
      slowest = { milliseconds: 0, operation: '' };
    },
    measure() {
      const stretch = createStretch();
      stretches.add(stretch);
      return {
        read() {
          stretches.delete(stretch);
          return stretch.read();
        },
      };
    },
    stageCopies(now) {
      staged = now;
    },
    async stop() {
      stopped = true;
      await all;
      if (!oldEnded) await old.end();
      oldEnded = true;
      return stats();
    },
    countLost: (db) => countLost(db, ledger),
  };
}

async function readShops(db: Queryable): Promise<ShopState[]> {
  const { rows } = await db.query<Row & { id: string; customers: string[]; products: string[] }>(
    `select s.id::text as id,
            array(select c.id::text from customers c where c.shop_id = s.id order by c.id limit 50) as customers,
            array(select p.id::text from products p where p.shop_id = s.id order by p.id limit 50) as products
     from shops s order by s.id`,
  );
  return rows
    .filter((row) => row.customers.length > 0 && row.products.length > 0)
    .map(({ id, customers, products }) => ({ id, customers, products, orders: [], turn: 0 }));
}

/** The server is gone, was shut down or is starting: nothing that a statement did. */
function isDisconnect(error: unknown): boolean {
  const state = sqlStateOf(error);
  if (state !== undefined) return /^(08\w{3}|57P0[1-3]|ECONNREFUSED|ECONNRESET|EPIPE)$/.test(state);
  return (
    error instanceof Error && /connection terminated|client has encountered a connection error/i.test(error.message)
  );
}
