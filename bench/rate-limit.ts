import pg from 'pg';
import { RateLimiterMemory, RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible';
import { createKernel } from '../src/database/kernel.ts';
import { createMemoryRateLimiter, createPostgresRateLimiter, type RateLimiter } from '../src/metering/rate/index.ts';
import { createPool } from '../src/pool/index.ts';
import {
  type BenchCase,
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
import { worstBurst } from './rate-limit.edge.ts';
import { openFastify } from './rate-limit.fastify.ts';
import { admittedByProcesses } from './rate-limit.processes.ts';

// Decisions per second of rate limits, and how exact they are.
// - memory: one process, 1,000 keys, one after another: ours (GCRA), rate-limiter-flexible (fixed windows), @fastify/rate-limit
//   (fixed windows; its function for a request of Fastify).
// - postgres: 16 callers, 1,000 keys or one hot key, on a server that waits for its disk: ours through the pool as the application's
//   login, rate-limiter-flexible as its documentation sets it up, and over an unlogged table, as ours is.
// - three scopes: ours takes a key, a namespace and an organization at once, all or nothing; the other asks three times.
// - edge: how many of a limit of 100 per 2 s pass within 200 ms around the end of a window, of 100.
// - nodes: four processes ask as fast as they can for one key of 400/s, burst 100: what passed, of what may pass.

const options = benchOptions();
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 3 : 11));
const seconds = options.quick ? 0.3 : 1;
const callers = 16;
const keys = Array.from({ length: 1_000 }, (_, i) => `tenant-${i}/api`);
const key = (i: number): string => keys[i % keys.length] as string;
const rate = { limit: 1_000_000, periodMs: 1_000 };
const points = { points: rate.limit, duration: 1 };

const server = await benchServer(waitingForDisk);
const pool = hearNothing(createPool({ connectionString: server.appUrl, max: 8 }));
const plain = hearNothing(new pg.Pool({ connectionString: server.adminUrl, max: 8 }));
const lines: Record<string, number> = {};
const results: Record<string, unknown> = {};
const fastify = await openFastify();

async function flexible(tableName: string): Promise<RateLimiterPostgres> {
  const limiter = await new Promise<RateLimiterPostgres>((resolve, reject) => {
    const made = new RateLimiterPostgres(
      { storeClient: plain, storeType: 'pool', tableName, keyPrefix: '', ...points },
      (error) => (error === undefined ? resolve(made) : reject(error)),
    );
  });
  return limiter;
}

/** Measures each case for about as long, whatever it does in a second. */
async function measure(
  title: string,
  cases: readonly Omit<BenchCase, 'operations'>[],
  run: (one: string, n: number) => Promise<void>,
) {
  const long: BenchCase[] = [];
  for (const { name } of cases) long.push(await sized(name, seconds, (n) => run(name, n), 50));
  const measured = await interleave(long, {
    rounds,
    warmup: 1,
    ...(server.pid === undefined ? {} : { serverPid: server.pid }),
  });
  printTable(
    title,
    ['', 'decisions/s', 'min', 'max', 'µs processor'],
    [...measured.values()].map((one) => [one.name, one.rate.median, one.rate.min, one.rate.max, one.cpu.median]),
  );
  results[title] = [...measured.values()];
  return measured;
}

type Decide = (i: number) => Promise<unknown>;
async function compare(title: string, deciders: Record<string, Decide>, concurrency: number) {
  const run = (name: string, n: number): Promise<void> => concurrently(n, concurrency, deciders[name] as Decide);
  return measure(
    title,
    Object.keys(deciders).map((name) => ({ name, run: async () => {} })),
    run,
  );
}

const ours = (limiter: RateLimiter) => async (k: string) => limiter.take([{ key: k, rate }]);

try {
  const memory = createMemoryRateLimiter();
  const theirMemory = new RateLimiterMemory(points);
  const inMemory = await compare(
    'in memory, 1,000 keys',
    {
      ours: (i) => ours(memory)(key(i)),
      'rate-limiter-flexible': (i) => theirMemory.consume(key(i)),
      ...(fastify === undefined
        ? {}
        : { '@fastify/rate-limit': (i: number) => fastify.check(key(i), rate.limit, rate.periodMs) }),
    },
    1,
  );
  lines['memory'] = ratio(inMemory.get('ours')!, inMemory.get('rate-limiter-flexible')!);
  if (fastify !== undefined) lines['fastify'] = ratio(inMemory.get('ours')!, inMemory.get('@fastify/rate-limit')!);

  const store = createPostgresRateLimiter(createKernel(pool));
  const logged = await flexible('flexible');
  const unlogged = await flexible('flexible_unlogged');
  await plain.query('alter table flexible_unlogged set unlogged');
  const spread = await compare(
    `in PostgreSQL, 1,000 keys, ${callers} callers`,
    {
      ours: (i) => ours(store)(key(i)),
      'rate-limiter-flexible, unlogged': (i) => unlogged.consume(key(i)),
      'rate-limiter-flexible': (i) => logged.consume(key(i)),
    },
    callers,
  );
  lines['postgres'] = ratio(spread.get('ours')!, spread.get('rate-limiter-flexible, unlogged')!);
  const hot = await compare(
    `in PostgreSQL, one hot key, ${callers} callers`,
    {
      ours: () => ours(store)('hot/api'),
      'rate-limiter-flexible, unlogged': () => unlogged.consume('hot'),
      'rate-limiter-flexible': () => logged.consume('hot'),
    },
    callers,
  );
  lines['hot'] = ratio(hot.get('ours')!, hot.get('rate-limiter-flexible, unlogged')!);
  const scopes = await compare(
    `in PostgreSQL, three scopes, ${callers} callers`,
    {
      'ours, all or nothing': (i) =>
        store.take(['', '/namespace', '/key'].map((scope) => ({ key: `${key(i)}${scope}`, rate }))),
      'rate-limiter-flexible, three times': (i) =>
        Promise.all(['', '/namespace', '/key'].map((scope) => unlogged.consume(`${key(i)}${scope}`))),
    },
    callers,
  );
  lines['scopes'] = ratio(scopes.get('ours, all or nothing')!, scopes.get('rate-limiter-flexible, three times')!);

  // accuracy
  const limit = 100;
  const periodMs = 2_000;
  const edgeRate = { limit, periodMs };
  const tokens = { points: limit, duration: periodMs / 1000 };
  const passes = async (work: Promise<unknown>): Promise<boolean> => {
    try {
      await work;
      return true;
    } catch (error) {
      if (error instanceof RateLimiterRes) return false;
      throw error;
    }
  };
  const edgeMemory = createMemoryRateLimiter();
  const edgeTheirs = new RateLimiterMemory(tokens);
  const edgePostgres = new RateLimiterPostgres({
    storeClient: plain,
    storeType: 'pool',
    tableName: 'flexible',
    keyPrefix: '',
    tableCreated: true,
    ...tokens,
  });
  const edges: Record<string, () => Promise<boolean>> = {
    'ours, memory': async () => (await edgeMemory.take([{ key: 'edge', rate: edgeRate }])).allowed,
    'ours, PostgreSQL': async () => (await store.take([{ key: 'edge/pg', rate: edgeRate }])).allowed,
    'rate-limiter-flexible, memory': () => passes(edgeTheirs.consume('edge')),
    'rate-limiter-flexible, PostgreSQL': () => passes(edgePostgres.consume('edge')),
    ...(fastify === undefined ? {} : { '@fastify/rate-limit': () => fastify.check('edge', limit, periodMs) }),
  };
  const worst = async ([name, take]: [string, () => Promise<boolean>]): Promise<[string, number]> => [
    name,
    await worstBurst(take, limit, periodMs),
  ];
  const stored = ([name]: [string, unknown]): boolean => name.endsWith('PostgreSQL');
  const bursts = await Promise.all(
    Object.entries(edges)
      .filter((one) => !stored(one))
      .map(worst),
  );
  // those that wait for a server one after another: each has it for itself
  for (const one of Object.entries(edges).filter(stored)) bursts.push(await worst(one));
  printTable(
    `passed within 200 ms around the end of a window: limit ${limit} per ${periodMs / 1000} s`,
    ['', 'passed', 'of the limit'],
    bursts.map(([name, passed]) => [name, passed, passed / limit]),
  );
  results['edge'] = Object.fromEntries(bursts);
  lines['edge'] = Math.max(...bursts.filter(([name]) => name.startsWith('ours')).map(([, passed]) => passed)) / limit;

  const nodes = await admittedByProcesses(server.appUrl, {
    processes: 4,
    limit: 400,
    burst: 100,
    seconds: options.quick ? 2 : 5,
  });
  printTable(
    'four processes, one key of 400/s, burst 100',
    ['', 'asked', 'passed', 'may pass', 'of it'],
    [['ours, PostgreSQL', nodes.asked, nodes.passed, nodes.allowance, nodes.passed / nodes.allowance]],
  );
  results['nodes'] = nodes;
  lines['nodes'] = nodes.passed / nodes.allowance;
} finally {
  await fastify?.close();
  await pool.end();
  await plain.end();
  await server.stop();
}

finish('rate-limit', options, {
  machine: machine(server, ['rate-limiter-flexible', '@fastify/rate-limit']),
  lines,
  results,
});
