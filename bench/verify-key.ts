import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import pg from 'pg';
import { ensureLogin } from '../src/database/logins.ts';
import { migrateUp } from '../src/database/migrate.ts';
import { createPool } from '../src/pool/index.ts';
import { createTenantry } from '../src/tenantry.ts';
import {
  type BenchCase,
  type BenchResult,
  benchOptions,
  benchServer,
  concurrently,
  finish,
  interleave,
  machine,
  printTable,
  ratio,
} from './frame.ts';
import { connect, createKeys, fillFloor, fillKeys } from './verify-key.data.ts';
import { openBetterAuth } from './verify-key.peer.ts';

// What it costs to know whose a key is: with the cache, without, beside a bare look-up by hash and beside better-auth.

const options = benchOptions();
// many short rounds: what else the machine does then falls on few of them, and the median passes it by
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 15 : 25));
const batch = Number(process.env['BATCH'] ?? (options.quick ? 1_600 : 3_200));
const sizes = options.quick ? [100, 100_000] : [100, 10_000, 1_000_000];
const concurrent = 16;
const keyCount = 200;
const pepper = randomBytes(48);

const server = await benchServer({ shared_buffers: '1GB' });
try {
  const pool = createPool({ connectionString: server.appUrl, max: concurrent, idleTimeoutMillis: 0 });
  const bare = new pg.Pool({ connectionString: server.appUrl, max: concurrent, idleTimeoutMillis: 0 });
  // a server that stops says so to connections that nobody uses
  for (const each of [pool, bare]) each.on('error', () => {});
  const peppers = [{ version: 1, secret: pepper }];
  const cached = createTenantry({ pool, keys: { peppers } });
  const uncached = createTenantry({ pool, keys: { peppers, cache: false } });
  const keys = await createKeys(server.adminUrl, cached, keyCount);
  const [hot] = keys as [string];
  const keyOf = (i: number): string => keys[i % keyCount] as string;

  const hashes = await fillFloor(server.adminUrl, keys);
  const hashOf = (i: number): Buffer => hashes[i % keyCount] as Buffer;
  const select = 'select tenant_id, key_id, permissions, expires_at from bare_keys where hash = $1';
  const bareSelect = async (hash: Buffer): Promise<void> => {
    const { rows } = await bare.query({ name: 'by_hash', text: select, values: [hash] });
    if (rows.length !== 1) throw new Error('the bare look-up found nothing');
  };

  // what a verification cannot do without, cached: checksum, hash, map
  const secret = createSecretKey(pepper);
  const known = new Map(keys.map((key) => [createHmac('sha256', secret).update(key).digest('hex'), key]));
  const least = (key: string): boolean =>
    crc32(key.slice(0, -6)) > 0 && known.has(createHmac('sha256', secret).update(key).digest('hex'));

  const many = batch * 10;
  const rate = (
    name: string,
    operations: number,
    operation: (i: number) => Promise<unknown>,
    callers = concurrent,
  ): BenchCase => ({ name, operations, run: () => concurrently(operations, callers, operation) });
  const cases: BenchCase[] = [
    rate('prepared SELECT by hash, 200 keys', batch, (i) => bareSelect(hashOf(i))),
    rate('prepared SELECT by hash, one key', batch, () => bareSelect(hashOf(0))),
    rate('Tenantry uncached, 200 keys', batch, (i) => uncached.keys.verify(keyOf(i))),
    rate('Tenantry uncached, one key', batch, () => uncached.keys.verify(hot)),
    rate('prepared SELECT by hash, one caller', batch / 4, (i) => bareSelect(hashOf(i)), 1),
    rate('Tenantry uncached, one caller', batch / 4, (i) => uncached.keys.verify(keyOf(i)), 1),
    rate('Tenantry cached, 200 keys', many, (i) => cached.keys.verify(keyOf(i))),
    rate('Tenantry cached, one key', many, () => cached.keys.verify(hot)),
    rate('checksum + hash + map, 200 keys', many, async (i) => least(keyOf(i))),
  ];
  const peer = await openBetterAuth(server.adminUrl, keyCount, concurrent);
  if (peer === undefined) {
    console.log(
      'better-auth is left out: bench/node_modules is not installed (run without --quick, or: npm --prefix bench install).',
    );
  } else {
    const few = options.quick ? 48 : 160;
    cases.push(
      rate('better-auth, 200 keys', few, (i) => peer.verify(peer.keys[i % keyCount] as string)),
      rate('better-auth, one key', few, () => peer.verify(peer.keys[0] as string)),
    );
  }
  await cached.keys.verify(hot);
  await new Promise((done) => setTimeout(done, 200)); // the cache is used once its listener listens

  const measured = await interleave(cases, {
    rounds,
    ...(server.pid === undefined ? {} : { serverPid: server.pid }),
  });
  const result = (name: string): BenchResult => measured.get(name) as BenchResult;
  printTable(
    `verifications per second, ${concurrent} concurrent, ${rounds} rounds`,
    ['', 'median', 'least', 'most', 'µs of processor'],
    [...measured.values()].map(({ name, rate: { median, min, max }, cpu }) => [name, median, min, max, cpu.median]),
  );

  // one latency at a time: what a request waits
  const latencies = async (operation: (i: number) => Promise<unknown>): Promise<number[]> => {
    const times: number[] = [];
    for (let i = 0; i < 2_000; i += 1) {
      const before = process.hrtime.bigint();
      await operation(i);
      times.push(Number(process.hrtime.bigint() - before) / 1e6);
    }
    return times.sort((a, b) => a - b);
  };
  const waits: Record<string, { p50: number; p99: number }> = {};
  for (const [name, t] of [
    ['cached', cached],
    ['uncached', uncached],
  ] as const) {
    const sorted = await latencies((i) => t.keys.verify(keyOf(i)));
    waits[name] = { p50: sorted[1_000] ?? 0, p99: sorted[1_980] ?? 0 };
  }
  printTable(
    'milliseconds that one caller waits',
    ['', 'p50', 'p99'],
    Object.entries(waits).map(([name, { p50, p99 }]) => [name, p50.toFixed(3), p99.toFixed(3)]),
  );

  // a database for each number of keys, measured in turn: what else the machine does falls on all alike
  const root = await connect(server.adminUrl);
  const template = new URL(server.adminUrl).pathname.slice(1);
  const sized = sizes.map((size) => ({ size, name: `${template}_${size}` }));
  const flatCases: BenchCase[] = [];
  const close: (() => Promise<unknown>)[] = [];
  for (const { size, name } of sized) {
    await root.query(`create database ${name} owner tenantry_admin`);
    const [adminUrl, appUrl, superuserUrl] = [server.adminUrl, server.appUrl, server.superuserUrl].map(
      (url) => Object.assign(new URL(url), { pathname: `/${name}` }).href,
    ) as [string, string, string];
    const migrating = new pg.Pool({ connectionString: adminUrl, max: 1 });
    await migrateUp(migrating);
    await ensureLogin(migrating, { name: 'bench_app', password: 'bench', group: 'tenantry_app' });
    await migrating.end();
    const own = createPool({ connectionString: appUrl, max: concurrent, idleTimeoutMillis: 0 });
    own.on('error', () => {});
    const t = createTenantry({ pool: own, keys: { peppers, cache: false } });
    const few = await createKeys(adminUrl, t, Math.min(100, size));
    await fillKeys(superuserUrl, size);
    flatCases.push(
      rate(`${size.toLocaleString('en-US')} keys`, batch, (i) => t.keys.verify(few[i % few.length] as string)),
    );
    close.push(() => t.close().then(() => own.end()));
  }
  const flatly = await interleave(flatCases, { rounds: options.quick ? 9 : 25, warmup: 2 });
  const flat = [...flatly.values()];
  printTable(
    'uncached verifications per second, by number of keys in the database',
    ['', 'median', 'least', 'most'],
    flat.map(({ name, rate: { median, min, max } }) => [name, median, min, max]),
  );
  for (const one of close) await one();
  for (const { name } of sized) await root.query(`drop database ${name} with (force)`);
  await root.end();

  const floor = ratio(result('Tenantry uncached, 200 keys'), result('prepared SELECT by hash, 200 keys'));
  const cost = 1 / ratio(result('Tenantry cached, 200 keys'), result('checksum + hash + map, 200 keys'));
  const lines: Record<string, number> = {
    // nobody else asks at the same time: what a request of a quiet server waits
    'floor-one-caller': ratio(result('Tenantry uncached, one caller'), result('prepared SELECT by hash, one caller')),
    'floor-one-key': ratio(result('Tenantry uncached, one key'), result('prepared SELECT by hash, one key')),
    'cached-cost': cost,
    flat: ratio(flat.at(-1) as BenchResult, flat[0] as BenchResult),
    ...(peer === undefined
      ? {}
      : {
          'better-auth-uncached': ratio(result('Tenantry uncached, 200 keys'), result('better-auth, 200 keys')),
          'better-auth-one-key': ratio(result('Tenantry cached, one key'), result('better-auth, one key')),
        }),
    floor,
    ...(peer === undefined
      ? {}
      : { 'better-auth': ratio(result('Tenantry cached, 200 keys'), result('better-auth, 200 keys')) }),
  };
  await peer?.close();
  await cached.close();
  await uncached.close();
  await bare.end();
  await pool.end();
  const described = machine(server, ['better-auth', '@better-auth/api-key']);
  console.log(
    `\n${Object.entries(described)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', ')}`,
  );
  finish('verify-key', options, {
    machine: described,
    lines,
    results: {
      'Whose is this key?': [...measured.values()],
      waits,
      'By number of keys': flat,
    },
  });
} finally {
  await server.stop();
}
