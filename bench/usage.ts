import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { createKernel } from '../src/database/kernel.ts';
import { createUsage } from '../src/metering/usage/index.ts';
import { createPool } from '../src/pool/index.ts';
import {
  type BenchCase,
  type BenchResult,
  benchOptions,
  benchServer,
  concurrently,
  finish,
  hearNothing,
  interleave,
  machine,
  printTable,
  ratio,
  sized,
  waitingForDisk,
} from './frame.ts';

// Events counted per second by 16 concurrent callers, each told after the commit, on a server that waits for its disk.
// - ours: usage.record through the pool as the application's login: unique by id, checked, counted by day and month, with alerts;
//   each caller waits for each of its events (16 in flight), or sends 64, those of 8 requests, and waits for all (1,024 in flight).
// - one UPDATE per event: the counter alone, which counts a retry twice.
// - one transaction per event: the event under a unique key and the counter.
// - the limit: the bare batched transaction for the same callers, who wait as they do for ours: the same events under the same unique
//   key, and their day and month, as the owner of tables without policies, in one prepared statement per batch and nothing else. What
//   waits goes into one batch, or into two at once: the better of both is the limit.
// - ready-made batches: the same statement without callers, from arrays that were made before the clock ran.

const options = benchOptions();
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 5 : 15));
const seconds = Number(process.env['SECONDS'] ?? (options.quick ? 0.6 : 1.5));
const callers = 16;
const burst = 64;
const organizations = 100;

const server = await benchServer(waitingForDisk);
const admin = new pg.Client({ connectionString: server.adminUrl });
const bare = hearNothing(new pg.Pool({ connectionString: server.adminUrl, max: callers }));
const pool = hearNothing(createPool({ connectionString: server.appUrl, max: 4 }));
const usage = createUsage(createKernel(pool));
const acknowledged = { ours: 0, limit: 0 };
try {
  await admin.connect();
  const { rows } = await admin.query<{ id: string }>(
    `insert into tenantry.organizations (name, slug) select 'Organization ' || i, 'organization-' || i from generate_series(1, $1::int) i returning id`,
    [organizations],
  );
  const tenants = rows.map(({ id }) => id);
  const tenant = (i: number): string => tenants[i % organizations] as string;
  await admin.query(`
    create schema bare;
    create table bare.events (tenant_id uuid not null, id text collate "C" not null, metric text collate "C" not null, namespace_id uuid,
      quantity numeric not null, occurred_at timestamptz not null, received_at timestamptz not null default clock_timestamp(), primary key (tenant_id, id));
    create table bare.counters (tenant_id uuid not null, metric text collate "C" not null, period text not null, period_start timestamptz not null,
      value numeric not null, events bigint not null, primary key (tenant_id, metric, period, period_start)) with (fillfactor = 50);
    create table bare.updated (tenant_id uuid primary key, value bigint not null default 0) with (fillfactor = 50);
    insert into bare.updated select id from tenantry.organizations`);

  let serial = 0;
  const record = (i: number): Promise<unknown> =>
    withTenant({ tenantId: tenant(i) }, () => usage.record({ id: randomUUID(), metric: 'api_calls' }));

  const insert = `with made as (
      insert into bare.events (tenant_id, id, metric, quantity, occurred_at)
      select t, i, m, q, o from unnest($1::uuid[], $2::text[], $3::text[], $4::numeric[], $5::timestamptz[]) x(t, i, m, q, o) order by t, i
      on conflict do nothing returning tenant_id, metric, quantity, occurred_at)
    insert into bare.counters as c select tenant_id, metric, p, date_trunc(p, occurred_at), sum(quantity), count(*)
      from made cross join unnest(array['day', 'month']) p group by 1, 2, 3, 4 order by 1, 2, 3, 4
      on conflict (tenant_id, metric, period, period_start) do update set value = c.value + excluded.value, events = c.events + excluded.events`;
  const madeBatch = (size: number): string[] => {
    const all = Array.from({ length: size }, () => (serial += 1));
    const now = new Date().toISOString();
    return [
      `{${all.map((i) => tenant(i)).join()}}`,
      `{${all.map(() => randomUUID()).join()}}`,
      `{${all.map(() => 'api_calls').join()}}`,
      `{${all.map(() => 1).join()}}`,
      `{${all.map(() => `"${now}"`).join()}}`,
    ];
  };
  const batches = async (made: string[][], size: number, connections: number): Promise<void> => {
    await concurrently(made.length, connections, (i) =>
      bare.query({ name: 'batch', text: insert, values: made[i] as string[] }),
    );
    acknowledged.limit += made.length * size;
  };

  // made before the clock runs: nobody waits for one of its events, and nobody is told
  const ready = async (name: string, size: number, connections: number): Promise<BenchCase> => {
    const { operations } = await sized(
      name,
      seconds,
      (count) =>
        batches(
          Array.from({ length: count / size }, () => madeBatch(size)),
          size,
          connections,
        ),
      size,
    );
    let made: string[][] = [];
    return {
      name,
      operations,
      prepare() {
        made = Array.from({ length: operations / size }, () => madeBatch(size));
      },
      run: () => batches(made, size, connections),
    };
  };
  // what anybody needs who tells callers of their commit: a queue, and the bare statement for what waits
  const bareRecorder = (connections: number): ((i: number) => Promise<void>) => {
    interface Waiting {
      readonly tenantId: string;
      readonly id: string;
      readonly done: () => void;
      readonly failed: (error: unknown) => void;
    }
    let queue: Waiting[] = [];
    let running = 0;
    let scheduled = false;
    const schedule = (): void => {
      if (scheduled || running >= connections || queue.length === 0) return;
      scheduled = true;
      setImmediate(start);
    };
    const start = (): void => {
      scheduled = false;
      const share = Math.min(1000, Math.max(callers / 2, Math.ceil(queue.length / (connections - running))));
      const batch = queue.slice(0, share);
      queue = queue.slice(share);
      running += 1;
      void send(batch).finally(() => {
        running -= 1;
        schedule();
      });
      schedule();
    };
    const send = async (batch: readonly Waiting[]): Promise<void> => {
      const now = `"${new Date().toISOString()}"`;
      try {
        await bare.query({
          name: 'batch',
          text: insert,
          values: [
            `{${batch.map(({ tenantId }) => tenantId).join()}}`,
            `{${batch.map(({ id }) => id).join()}}`,
            `{${batch.map(() => 'api_calls').join()}}`,
            `{${batch.map(() => 1).join()}}`,
            `{${batch.map(() => now).join()}}`,
          ],
        });
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error);
      }
    };
    return (i) =>
      new Promise((done, failed) => {
        queue.push({ tenantId: tenant(i), id: randomUUID(), done, failed });
        schedule();
      });
  };
  const limit = (name: string, connections: number): Promise<BenchCase> => {
    const one = bareRecorder(connections);
    const run = async (count: number): Promise<void> => {
      await concurrently(count, callers, one);
      acknowledged.limit += count;
    };
    return sized(name, seconds, run, callers);
  };
  const limitInBursts = (name: string, connections: number): Promise<BenchCase> => {
    const one = bareRecorder(connections);
    const run = async (count: number): Promise<void> => {
      await concurrently(count / burst, callers, (i) =>
        Promise.all(Array.from({ length: burst }, (_, event) => one(i * (burst / 8) + (event >> 3)))),
      );
      acknowledged.limit += count;
    };
    return sized(name, seconds, run, callers * burst);
  };
  const ours = async (count: number): Promise<void> => {
    await concurrently(count, callers, record);
    acknowledged.ours += count;
  };
  const oursInBursts = async (count: number): Promise<void> => {
    await concurrently(count / burst, callers, (i) =>
      Promise.all(
        Array.from({ length: burst / 8 }, (_, request) =>
          withTenant({ tenantId: tenant(i * (burst / 8) + request) }, () =>
            Promise.all(Array.from({ length: 8 }, () => usage.record({ id: randomUUID(), metric: 'api_calls' }))),
          ),
        ),
      ),
    );
    acknowledged.ours += count;
  };
  const update = (count: number): Promise<void> =>
    concurrently(count, callers, (i) =>
      bare.query({
        name: 'update',
        text: 'update bare.updated set value = value + 1 where tenant_id = $1',
        values: [tenant(i)],
      }),
    );
  const transaction = async (count: number): Promise<void> => {
    await concurrently(count, callers, (i) =>
      bare.query({
        name: 'single',
        text: `with made as (insert into bare.events (tenant_id, id, metric, quantity, occurred_at) values ($1, $2, 'api_calls', 1, now())
            on conflict do nothing returning tenant_id, metric, quantity, occurred_at)
          insert into bare.counters as c select tenant_id, metric, p, date_trunc(p, occurred_at), quantity, 1 from made cross join unnest(array['day', 'month']) p
            on conflict (tenant_id, metric, period, period_start) do update set value = c.value + excluded.value, events = c.events + excluded.events`,
        values: [tenant(i), randomUUID()],
      }),
    );
    acknowledged.limit += count;
  };

  const names = {
    ours: 'Tenantry, 16 in flight',
    limit: ['limit, 16 in flight, one batch at once', 'limit, 16 in flight, two at once'],
    ready: 'ready-made batches of 16',
    oursInBursts: 'Tenantry, 1,024 in flight',
    limitInBursts: ['limit, 1,024 in flight, one batch at once', 'limit, 1,024 in flight, two at once'],
    readyInBursts: 'ready-made batches of 1,000',
    update: 'one UPDATE per event',
    transaction: 'one transaction per event',
  } as const;
  const cases = [
    await sized(names.ours, seconds, ours, callers),
    await limit(names.limit[0], 1),
    await limit(names.limit[1], 2),
    await ready(names.ready, callers, 1),
    await sized(names.oursInBursts, seconds, oursInBursts, callers * burst),
    await limitInBursts(names.limitInBursts[0], 1),
    await limitInBursts(names.limitInBursts[1], 2),
    await ready(names.readyInBursts, 1000, 2),
    await sized(names.update, seconds, update, callers),
    await sized(names.transaction, seconds, transaction, callers),
  ];
  const results = await interleave(cases, {
    rounds,
    warmup: 1,
    ...(server.pid === undefined ? {} : { serverPid: server.pid }),
  });
  const of = (name: string) => {
    const result = results.get(name);
    if (result === undefined) throw new Error(name);
    return result;
  };

  // every acknowledged event once, in the ledger and in the counters
  const counted = await admin.query<{ ledger: string; months: string; days: string; bare: string; counters: string }>(`
    select (select count(*) from tenantry.usage_events) as ledger,
      (select sum(value) from tenantry.usage_periods where period = 'month') as months,
      (select sum(value) from tenantry.usage_periods where period = 'day') as days,
      (select count(*) from bare.events) as bare, (select sum(value) from bare.counters where period = 'month') as counters`);
  const exact = counted.rows[0];
  const numbers = [exact?.ledger, exact?.months, exact?.days].map(Number);
  if (
    numbers.some((number) => number !== acknowledged.ours) ||
    Number(exact?.bare) !== acknowledged.limit ||
    Number(exact?.counters) !== acknowledged.limit
  ) {
    throw new Error(`counts differ: ${JSON.stringify({ ...exact, acknowledged })}`);
  }

  printTable(
    `Events counted, ${callers} callers, ${organizations} organizations, fsync on`,
    ['', 'events/s', 'least', 'most', 'µs of processor'],
    [...results.values()].map(({ name, rate, cpu }) => [name, rate.median, rate.min, rate.max, cpu.median]),
  );
  console.log(
    `\nCounts are exact: ${acknowledged.ours.toLocaleString('en-US')} events acknowledged, in the ledger, in the days and in the months.`,
  );
  const better = (limits: readonly string[]): BenchResult =>
    limits.map(of).reduce((a, b) => (b.rate.median > a.rate.median ? b : a));
  const single = ratio(of(names.ours), better(names.limit));
  const bursts = ratio(of(names.oursInBursts), better(names.limitInBursts));
  finish('usage', options, {
    machine: machine(server),
    lines: {
      events_per_second: of(names.oursInBursts).rate.median,
      update: ratio(of(names.ours), of(names.update)),
      limit_16: single,
      limit_1024: bursts,
      ready_16: ratio(of(names.ours), of(names.ready)),
      ready_1024: ratio(of(names.oursInBursts), of(names.readyInBursts)),
      limit: Math.min(single, bursts),
    },
    results: [...results.values()],
  });
} finally {
  await usage.close();
  await pool.end();
  await bare.end();
  await admin.end();
  await server.stop();
}
