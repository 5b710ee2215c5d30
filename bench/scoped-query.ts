import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { createPool, type TenantPoolOptions } from '../src/pool/index.ts';
import {
  type BenchCase,
  type BenchResult,
  benchOptions,
  benchServer,
  concurrently,
  cpuRatio,
  finish,
  interleave,
  machine,
  printTable,
  quantile,
  ratio,
  spread,
} from './frame.ts';
import { createScopedData, type ScopedData } from './scoped/data.ts';
import { delayProxy } from './scoped/delay-proxy.ts';
import type { Peer } from './scoped/peers.ts';

// What a query costs that is scoped to a tenant: by hand, by Tenantry, by a transaction around it.

const options = benchOptions();
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 7 : 25));
const batch = Number(process.env['BATCH'] ?? (options.quick ? 300 : 2_500));

interface Statement {
  readonly scoped: string;
  readonly byHand: string;
  values(i: number): unknown[];
}

function statements({ perTenant }: ScopedData): Record<'point' | 'list', Statement> {
  const columns = 'id, name, price, created_at';
  return {
    point: {
      scoped: `select ${columns} from items where id = $1`,
      byHand: `select ${columns} from items_plain where tenant_id = $2 and id = $1`,
      values: (i) => [(i % perTenant) + 1],
    },
    list: {
      scoped: `select ${columns} from items where id <= $1 order by id desc limit 50`,
      byHand: `select ${columns} from items_plain where tenant_id = $2 and id <= $1 order by id desc limit 50`,
      values: (i) => [perTenant - (i % 20)],
    },
  };
}

const tailRate = 1_000;

/** The usual way to tell policies who asks: four round trips. */
async function inTransaction(pool: pg.Pool, query: pg.QueryConfig, tenant: string): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query("select set_config('app.tenant_id', $1, true)", [tenant]);
    await client.query(query);
    await client.query('commit');
  } finally {
    client.release();
  }
}

/** Asks `rate` times a second whatever the answers do, beside `slow` that always runs; milliseconds of each. */
async function openLoop(
  rate: number,
  seconds: number,
  operation: (i: number) => Promise<unknown>,
  slow: () => Promise<unknown>,
): Promise<number[]> {
  const times: number[] = [];
  const pending: Promise<void>[] = [];
  const started = performance.now();
  let running = true;
  const always = (async () => {
    while (running) await slow();
  })();
  const one = async (i: number): Promise<void> => {
    const due = started + (i * 1000) / rate;
    await operation(i);
    times.push(performance.now() - due);
  };
  // asks by a timer and sleeps between: a loop that never sleeps would hold a processor that the server's processes wake up on
  await new Promise<void>((resolve) => {
    let i = 0;
    const ask = (): void => {
      const due = Math.min(rate * seconds, Math.floor(((performance.now() - started) * rate) / 1000) + 1);
      for (; i < due; i++) pending.push(one(i));
      if (i === rate * seconds) resolve();
      else setTimeout(ask, 1);
    };
    ask();
  });
  await Promise.all(pending);
  running = false;
  await always;
  return times;
}

const server = await benchServer();
try {
  const data = await createScopedData(server.adminUrl, { tenants: 10_000, perTenant: 100 });
  const texts = statements(data);
  const tenantOf = (i: number): string => data.tenants[(i * 7_919) % data.tenants.length] ?? '';
  const pools: { end(): Promise<void> }[] = [];
  const plainPool = (max: number, url = server.appUrl): pg.Pool => {
    const pool = new pg.Pool({ connectionString: url, max, idleTimeoutMillis: 0 });
    pool.on('error', () => undefined); // the server may stop before the last socket has closed
    pools.push(pool);
    return pool;
  };
  const tenantPool = (max: number, more: TenantPoolOptions = {}) => {
    const pool = createPool({ connectionString: server.appUrl, max, idleTimeoutMillis: 0, ...more });
    pool.on('error', () => undefined);
    pools.push(pool);
    return pool;
  };

  const lines: Record<string, number> = {};
  const kept: Record<string, unknown> = {};
  const select = process.env['ONLY'];
  const pidOption = server.pid === undefined ? {} : { serverPid: server.pid };

  async function peersOf(connections: number): Promise<readonly Peer[]> {
    const { openPeers } = await import('./scoped/peers.ts');
    return openPeers(server.adminUrl, server.appUrl, connections, tenantOf(0));
  }

  /** A network that takes 2 ms there and back: what counts are the round trips. */
  async function measureThroughProxy(): Promise<void> {
    const direct = new URL(server.appUrl);
    const proxy = await delayProxy(direct.hostname, Number(direct.port), 2);
    const far = new URL(direct);
    far.port = String(proxy.port);
    const { scoped, byHand, values } = texts.point;
    const plain = plainPool(8, far.href);
    const tenantry = tenantPool(8, { connectionString: far.href });
    const operations = options.quick ? 400 : 1_500;
    const each = (name: string, operation: (i: number) => Promise<unknown>): BenchCase => ({
      name,
      operations,
      run: () => concurrently(operations, 8, operation),
    });
    const cases = [
      each('plain pg, named', (i) => plain.query({ name: 'point', text: byHand, values: [...values(i), tenantOf(i)] })),
      each('Tenantry, named', (i) =>
        withTenant({ tenantId: tenantOf(i) }, () => tenantry.query({ name: 'point', text: scoped, values: values(i) })),
      ),
      each('transaction on pg', (i) =>
        inTransaction(plain, { name: 'far', text: scoped, values: values(i) }, tenantOf(i)),
      ),
    ];
    const results = await interleave(cases, { rounds: options.quick ? 3 : 11, warmup: 1, ...pidOption });
    const baseline = results.get('plain pg, named') as BenchResult;
    kept['2 ms away'] = [...results.values()];
    printTable(
      'point read, 8 connections, 2 ms away',
      ['', 'per second', 'min', 'max', '÷ plain'],
      [...results.values()].map((result) => [
        result.name,
        result.rate.median,
        result.rate.min,
        result.rate.max,
        ratio(result, baseline),
      ]),
    );
    lines['ratio 2 ms away'] = ratio(results.get('Tenantry, named') as BenchResult, baseline);
    await proxy.close();
  }

  /** 64 callers over at most 8 connections: a plain pool of 8, against 4 shared and 4 of one's own. */
  async function measureMultiplex(): Promise<void> {
    const { scoped, byHand, values } = texts.point;
    const concurrency = 64;
    const plain = plainPool(8);
    const fused = tenantPool(8);
    const shared = tenantPool(4, { multiplex: { connections: 4 } });
    const byPlain = (i: number) => plain.query({ name: 'point', text: byHand, values: [...values(i), tenantOf(i)] });
    const by = (pool: ReturnType<typeof tenantPool>) => (i: number) =>
      withTenant({ tenantId: tenantOf(i) }, () => pool.query({ name: 'point', text: scoped, values: values(i) }));
    const each = (name: string, operation: (i: number) => Promise<unknown>): BenchCase => ({
      name,
      operations: batch * 2,
      run: () => concurrently(batch * 2, concurrency, operation),
    });
    const cases = [
      each('plain pool of 8', byPlain),
      each('Tenantry, 8', by(fused)),
      each('Tenantry, 4 shared', by(shared)),
    ];
    const results = await interleave(cases, { rounds, ...pidOption });
    kept['64 concurrent'] = [...results.values()];
    const baseline = results.get('plain pool of 8') as BenchResult;
    printTable(
      'point read, 64 concurrent, at most 8 connections',
      ['', 'per second', 'min', 'max', 'µs CPU', '÷ plain', '÷ plain CPU'],
      [...results.values()].map((result) => [
        result.name,
        result.rate.median,
        result.rate.min,
        result.rate.max,
        result.cpu.median,
        ratio(result, baseline),
        cpuRatio(result, baseline),
      ]),
    );
    lines['multiplex'] = ratio(results.get('Tenantry, 4 shared') as BenchResult, baseline);

    const slowStatement = 'select pg_sleep(0.2)';
    const tails = [
      { name: 'plain pool of 8', operation: byPlain, slow: () => plain.query(slowStatement), times: [] as number[][] },
      {
        name: 'Tenantry, 8',
        operation: by(fused),
        slow: () => withTenant({ tenantId: tenantOf(0) }, () => fused.query(slowStatement)),
        times: [] as number[][],
      },
      {
        name: 'Tenantry, 4 shared',
        operation: by(shared),
        slow: () => withTenant({ tenantId: tenantOf(0) }, () => shared.query(slowStatement)),
        times: [] as number[][],
      },
    ];
    for (let round = 0; round < (options.quick ? 4 : 22); round++) {
      for (const { operation, slow, times } of round % 2 === 0 ? tails : tails.toReversed()) {
        const one = await openLoop(tailRate, options.quick ? 1 : 3, operation, slow);
        if (round > 0) times.push(one.sort((a, b) => a - b)); // the first round teaches the pool which text is slow
      }
    }
    // of each round by itself, and then the median: one stall of the machine would decide the tail of all rounds
    const percentiles = tails.map(({ name, times }) => {
      const typical = (q: number) => spread(times.map((sorted) => quantile(sorted, q))).median;
      return { name, p50: typical(0.5), p99: typical(0.99), p999: typical(0.999), worst: typical(1) };
    });
    kept['beside a 200 ms statement'] = percentiles;
    printTable(
      `point reads beside one 200 ms statement that always runs, ${tailRate} per second, milliseconds (median of rounds)`,
      ['', 'p50', 'p99', 'p99.9', 'worst'],
      percentiles.map(({ name, p50, p99, p999, worst }) => [name, p50, p99, p999, worst]),
    );
    lines['p99.9 plain'] = percentiles[0]?.p999 ?? 0;
    lines['p99.9 multiplex'] = percentiles[2]?.p999 ?? 0;
    // the two of a round met the same machine: their ratio says more than the ratio of two medians
    const [tailsOfPlain = [], , tailsOfShared = []] = tails.map(({ times }) =>
      times.map((one) => quantile(one, 0.999)),
    );
    lines['tail'] = spread(tailsOfShared.map((tail, round) => tail / (tailsOfPlain[round] as number))).median;
  }

  for (const connections of [8, 1]) {
    for (const shape of ['point', 'list'] as const) {
      const title = `${shape === 'point' ? 'point read' : 'list of 50'}, ${connections} connection${connections > 1 ? 's' : ''}`;
      if (select !== undefined && !title.includes(select)) continue;
      const { scoped, byHand, values } = texts[shape];
      const operations = shape === 'point' ? batch : Math.ceil(batch / 3);
      const plain = plainPool(connections);
      const tenantry = tenantPool(connections);
      const unnamed = tenantPool(connections, { naming: false });
      const transactions = plainPool(connections);
      // what takes many times as long is asked as many times less, so that a round takes as long for each
      const each = (name: string, operation: (i: number) => Promise<unknown>, share = 1): BenchCase => ({
        name,
        operations: Math.ceil(operations / share),
        run: () => concurrently(Math.ceil(operations / share), connections, operation),
      });
      const peers = options.quick ? [] : await peersOf(connections);
      const cases = [
        ...peers.map((peer) => each(peer.name, (i) => peer[shape](tenantOf(i), values(i)[0] as number), 8)),
        each('plain pg, named', (i) => plain.query({ name: shape, text: byHand, values: [...values(i), tenantOf(i)] })),
        each('plain pg, unnamed', (i) => plain.query(byHand, [...values(i), tenantOf(i)])),
        each('Tenantry, named', (i) =>
          withTenant({ tenantId: tenantOf(i) }, () => tenantry.query({ name: shape, text: scoped, values: values(i) })),
        ),
        each('Tenantry, as ORMs send', (i) =>
          withTenant({ tenantId: tenantOf(i) }, () => tenantry.query(scoped, values(i))),
        ),
        each('Tenantry, naming off', (i) =>
          withTenant({ tenantId: tenantOf(i) }, () => unnamed.query(scoped, values(i))),
        ),
        each(
          'transaction on pg',
          (i) => inTransaction(transactions, { name: shape, text: scoped, values: values(i) }, tenantOf(i)),
          3,
        ),
      ];
      const results = await interleave(cases, {
        rounds,
        ...(server.pid === undefined ? {} : { serverPid: server.pid }),
      });
      await Promise.all(peers.map((peer) => peer.close()));
      kept[title] = [...results.values()];
      const baseline = results.get('plain pg, named') as BenchResult;
      const unnamedBaseline = results.get('plain pg, unnamed') as BenchResult;
      printTable(
        title,
        ['', 'per second', 'min', 'max', 'µs CPU', '÷ named', '÷ named CPU', '÷ unnamed', '÷ unnamed CPU'],
        [...results.values()].map((result) => [
          result.name,
          result.rate.median,
          result.rate.min,
          result.rate.max,
          result.cpu.median,
          ratio(result, baseline),
          cpuRatio(result, baseline),
          ratio(result, unnamedBaseline),
          cpuRatio(result, unnamedBaseline),
        ]),
      );
      if (shape === 'point' && connections === 8) {
        lines['ratio'] = ratio(results.get('Tenantry, named') as BenchResult, baseline);
        lines['unnamed'] = ratio(results.get('Tenantry, as ORMs send') as BenchResult, unnamedBaseline);
      }
    }
  }
  if (select === undefined || 'proxy'.includes(select)) await measureThroughProxy();
  if (select === undefined || 'multiplex'.includes(select)) await measureMultiplex();
  await Promise.all(pools.map((pool) => pool.end()));
  const where = machine(server);
  printTable('Measured on', ['', ''], Object.entries(where));
  finish('scoped-query', options, { machine: where, lines, results: kept });
} finally {
  await server.stop();
}
