import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { sqlStateOf } from '../../database/database-error.ts';
import type { PoolLike } from '../../database/kernel.ts';
import type { Queryable, Row } from '../../database/sql.ts';
import { type Ledger, type Operation, operations, type ShopState, type Statements } from './operations.ts';

export interface WorkloadOptions {
  /** Requests at a time. Default 4. */
  readonly clients?: number;
  /** Pause of each client between two requests, in milliseconds. Default 2. */
  readonly pause?: number;
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
  const { clients = 4, pause = 2, onError } = options;
  const old = new pg.Pool({ connectionString: url, max: clients, application_name: 'sample shop' });
  old.on('error', () => {}); // an idle connection that was ended is replaced
  const shops = await readShops(old);
  const ledger: Ledger = { orders: new Map(), cities: new Map() };
  const counts = new Map<string, number>();
  const latencies: number[] = [];
  let deployment: Deployment = { pool: old };
  let generation = 0;
  let version = 0;
  let stopped = false;
  let slowest = { milliseconds: 0, operation: '' };
  const total = { requests: 0, statements: 0, failed: 0, preparedAgain: 0 };
  const started = performance.now();

  const timed = async <R extends Row>(
    db: Queryable,
    operation: string,
    text: string,
    values: readonly unknown[],
    name?: string,
  ) => {
    const before = performance.now();
    const config = name === undefined ? { text, values } : { text, values, name: `${name}_v${version}` };
    try {
      return (await (db as unknown as pg.Pool).query<R>(config as pg.QueryConfig)).rows;
    } finally {
      const milliseconds = performance.now() - before;
      total.statements += 1;
      latencies[total.statements % 20_000] = milliseconds;
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
    async transaction(fn) {
      const client = await deployment.pool.connect();
      let broken: Error | undefined;
      try {
        await timed(client, operation, 'begin', []);
        const result = await fn(statementsOn(client, operation));
        await timed(client, operation, 'commit', []);
        return result;
      } catch (error) {
        await client.query('rollback').catch((lost: Error) => {
          broken = lost;
        });
        throw error;
      } finally {
        client.release(broken);
      }
    },
  });

  const request = async (shop: ShopState, operation: Operation): Promise<void> => {
    const { pool, withShop } = deployment;
    const work = () => operation.run(statementsOn(pool, operation.name), shop, ledger);
    try {
      await (withShop === undefined ? work() : withShop(shop.id, work));
      counts.set(operation.name, (counts.get(operation.name) ?? 0) + 1);
    } catch (error) {
      total.failed += 1;
      onError?.(error, operation.name);
    }
    total.requests += 1;
  };

  const running = new Map<number, number>();
  const client = async (number: number): Promise<void> => {
    const own = shops.filter((_, i) => i % clients === number);
    for (let turn = 0; !stopped; turn += 1) {
      running.set(number, generation);
      const operation = operations[(turn * 7 + number) % operations.length];
      const shop = own[(turn * 3 + Math.floor(turn / 11)) % own.length];
      if (operation === undefined || shop === undefined) break;
      // a new shop is the platform's business: the new version makes it as an organization
      if (operation.opensShop && (deployment.withShop !== undefined || turn % 20 !== 0)) continue;
      if (operation.opensShop) {
        await request(shop, {
          ...operation,
          run: async (db, s, l) => void own.push(...((await operation.run(db, s, l)) ?? [])),
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

async function countLost(db: Queryable, ledger: Ledger): Promise<number> {
  const orders = [...ledger.orders.keys()];
  const { rows: found } = await db.query<Row & { id: string; lines: number }>(
    `select o.id::text as id, (select count(*) from order_lines l where l.order_id = o.id)::int as lines from orders o where o.id = any($1::bigint[])`,
    [orders],
  );
  const lines = new Map(found.map((row) => [row.id, row.lines]));
  const { rows: customers } = await db.query<Row & { id: string; city: string }>(
    `select c.id::text as id, c.city from customers c where c.id = any($1::bigint[])`,
    [[...ledger.cities.keys()]],
  );
  const cities = new Map(customers.map((row) => [row.id, row.city]));
  return (
    [...ledger.orders].filter(([id, count]) => lines.get(id) !== count).length +
    [...ledger.cities].filter(([id, city]) => cities.get(id) !== city).length
  );
}
