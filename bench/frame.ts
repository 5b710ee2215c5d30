import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startEmbedded } from '../src/database/embedded/server.ts';
import { ensureLogin } from '../src/database/logins.ts';
import { migrateUp } from '../src/database/migrate.ts';

/** What every bench takes on its command line. */
export interface BenchOptions {
  /** Under a minute, without the peers. */
  readonly quick: boolean;
  /** Where the results go as JSON. */
  readonly json: string | undefined;
}

export function benchOptions(): BenchOptions {
  const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } } });
  return { quick: values.quick, json: values.json };
}

/** One thing that is measured: `run` does `operations` operations once. */
export interface BenchCase {
  readonly name: string;
  /** What `run` uses up; before the clock runs. */
  prepare?(): void;
  run(): Promise<void>;
  readonly operations: number;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface BenchResult {
  readonly name: string;
  /** Operations per second. */
  readonly rate: Spread;
  /** Microseconds of processor time per operation, of this process and of the server. */
  readonly cpu: Spread;
  /** Each round's rate, in the order of the rounds: ratios are taken round by round. */
  readonly rounds: readonly number[];
  readonly cpuRounds: readonly number[];
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), min: sorted[0] ?? 0, max: sorted.at(-1) ?? 0 };
}

/** Of values that are sorted. */
export function quantile(sorted: readonly number[], q: number): number {
  if (sorted.length === 0) return 0;
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? 0;
  const high = sorted[Math.ceil(at)] ?? low;
  return low + (high - low) * (at - Math.floor(at));
}

/** The median over the rounds of a / b: what disturbs one round disturbs both. */
export function ratio(a: BenchResult, b: BenchResult): number {
  return spread(a.rounds.map((value, round) => value / (b.rounds[round] ?? value))).median;
}

/** The same for processor time, turned round: above 1 means that `a` costs less. */
export function cpuRatio(a: BenchResult, b: BenchResult): number {
  return spread(a.cpuRounds.map((value, round) => (b.cpuRounds[round] ?? value) / value)).median;
}

/**
 * Runs every case once per round, in another order each time, so that what else the machine does falls on all alike.
 * The first `warmup` rounds are not counted.
 */
export async function interleave(
  cases: readonly BenchCase[],
  { rounds, warmup = 2, serverPid }: { rounds: number; warmup?: number; serverPid?: number },
): Promise<Map<string, BenchResult>> {
  const rates = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
  const costs = new Map<string, number[]>(cases.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds + warmup; round++) {
    globalThis.gc?.();
    for (const one of shuffled(cases)) {
      one.prepare?.();
      const cpuBefore = processorTime(serverPid);
      const before = process.hrtime.bigint();
      await one.run();
      const seconds = Number(process.hrtime.bigint() - before) / 1e9;
      const cpu = processorTime(serverPid) - cpuBefore;
      if (round < warmup) continue;
      rates.get(one.name)?.push(one.operations / seconds);
      costs.get(one.name)?.push(cpu / one.operations);
    }
  }
  return new Map(
    cases.map(({ name }) => {
      const roundRates = rates.get(name) ?? [];
      const cpuRounds = costs.get(name) ?? [];
      return [name, { name, rate: spread(roundRates), cpu: spread(cpuRounds), rounds: roundRates, cpuRounds }];
    }),
  );
}

function shuffled<T>(items: readonly T[]): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

/** Microseconds of processor time of this process, and of the server's where /proc tells. */
export function processorTime(serverPid?: number): number {
  const { user, system } = process.cpuUsage();
  return user + system + (serverPid === undefined ? 0 : serverTime(serverPid));
}

function serverTime(postmaster: number): number {
  let ticks = 0;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(fields[1]) !== postmaster && Number(entry) !== postmaster) continue;
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // the process has ended
    }
  }
  return ticks * 10_000;
}

/** Runs `operation` `count` times, `concurrency` at a time. */
export async function concurrently(
  count: number,
  concurrency: number,
  operation: (i: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await operation(next++);
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
}

/** A case of as many operations as take about `seconds`, a multiple of `step`: whatever it does in a second, each round is as long. */
export async function sized(
  name: string,
  seconds: number,
  run: (count: number) => Promise<void>,
  step = 1,
): Promise<BenchCase> {
  for (let count = step * 4; ; count *= 4) {
    const before = performance.now();
    await run(count);
    const took = (performance.now() - before) / 1000;
    if (took > Math.min(0.15, seconds / 3)) {
      const operations = Math.max(step, Math.round((count * seconds) / took / step) * step);
      return { name, operations, run: () => run(operations) };
    }
  }
}

/** A server that waits for its disk, as one in production does. */
export const waitingForDisk: Record<string, string> = {
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  max_wal_size: '8GB',
};

/** A server that stops says so to connections that nobody uses, also after the pool's end(): here that is no error. */
export function hearNothing<T extends { on(event: 'error', listener: () => void): unknown }>(pool: T): T {
  pool.on('error', () => {});
  return pool;
}

export interface BenchServer {
  readonly adminUrl: string;
  readonly appUrl: string;
  /** For what only the environment does: checkpoints, what every session waits for. */
  readonly superuserUrl: string;
  readonly version: string;
  /** For `interleave`, where the platform has /proc. */
  readonly pid: number | undefined;
  stop(): Promise<void>;
}

/**
 * A throw-away embedded server with a migrated database, an application login and a migrating login that is no
 * superuser. `BENCH_DATABASE_URL` (superuser) measures a server of your own instead, `binaries` an installed PostgreSQL.
 */
export async function benchServer(settings: Record<string, string> = {}, binaries?: string): Promise<BenchServer> {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-bench-'));
  const given = process.env['BENCH_DATABASE_URL'];
  const embedded =
    given === undefined
      ? await startEmbedded({
          folder,
          settings: { shared_buffers: '512MB', fsync: 'off', max_wal_size: '4GB', jit: 'off', ...settings },
          ...(binaries === undefined ? {} : { binaries }),
        })
      : undefined;
  const superuser = new URL(given ?? embedded?.superuserUrl ?? '');
  const root = new pg.Client({ connectionString: superuser.href });
  await root.connect();
  const name = `tenantry_bench_${process.pid}`;
  await root.query(`do $$ begin create role tenantry_admin; exception when duplicate_object then null; end $$`);
  await root.query(`alter role tenantry_admin login createrole createdb password 'bench'`);
  await root.query(`create database ${name} owner tenantry_admin`);
  const { rows } = await root.query<{ v: string }>('select version() as v');
  await root.end();
  const url = (user: string): string => {
    const login = new URL(superuser.href);
    login.username = user;
    login.password = 'bench';
    login.pathname = `/${name}`;
    return login.href;
  };
  const admin = new pg.Pool({ connectionString: url('tenantry_admin'), max: 1 });
  await migrateUp(admin);
  await ensureLogin(admin, { name: 'bench_app', password: 'bench', group: 'tenantry_app' });
  await admin.end();
  return {
    adminUrl: url('tenantry_admin'),
    appUrl: url('bench_app'),
    superuserUrl: superuser.href,
    version: /PostgreSQL \S+/.exec(rows[0]?.v ?? '')?.[0] ?? 'PostgreSQL',
    pid: embedded === undefined ? undefined : postmasterPid(embedded.folder),
    async stop() {
      if (embedded === undefined) {
        const last = new pg.Client({ connectionString: superuser.href });
        await last.connect();
        await last.query(`drop database if exists ${name} with (force)`);
        await last.end();
        return;
      }
      await embedded.stop();
      rmSync(folder, { recursive: true, force: true });
      rmSync(embedded.folder, { recursive: true, force: true });
    },
  };
}

function postmasterPid(folder: string): number | undefined {
  try {
    return Number(readFileSync(join(folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
  } catch {
    return undefined;
  }
}

/** What the numbers were measured on. */
export function machine(
  server?: { readonly version: string },
  packages: readonly string[] = [],
): Record<string, string> {
  const [first] = cpus();
  const versions = Object.fromEntries(['pg', ...packages].map((name) => [name, packageVersion(name)]));
  return {
    processor: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GB`,
    load: loadavg()
      .map((value) => value.toFixed(1))
      .join(' '),
    node: process.version,
    ...(server === undefined ? {} : { server: server.version }),
    ...versions,
  };
}

function packageVersion(name: string): string {
  try {
    let folder = new URL('.', import.meta.url).pathname;
    for (;;) {
      try {
        const text = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8');
        return (JSON.parse(text) as { version: string }).version;
      } catch {
        const parent = join(folder, '..');
        if (parent === folder) return createRequire(import.meta.url).resolve(name);
        folder = parent;
      }
    }
  } catch {
    return 'not installed';
  }
}

/** A table in the terminal: the first column to the left, numbers to the right. */
export function printTable(
  title: string,
  header: readonly string[],
  rows: readonly (readonly (string | number)[])[],
): void {
  const text = [header, ...rows].map((row) => row.map((cell) => (typeof cell === 'number' ? format(cell) : cell)));
  const widths = header.map((_, column) => Math.max(...text.map((row) => (row[column] ?? '').length)));
  console.log(`\n${title}`);
  for (const row of text) {
    console.log(
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    );
  }
}

function format(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en-US');
  return value.toFixed(2);
}

/** Prints the closing `name: number` lines and keeps everything as JSON where asked. */
export function finish(
  bench: string,
  options: BenchOptions,
  report: {
    readonly machine: Record<string, string>;
    readonly lines: Record<string, number>;
    readonly results: unknown;
  },
): void {
  if (options.json !== undefined) {
    const kept = { bench, at: new Date().toISOString(), quick: options.quick, ...report };
    writeFileSync(options.json, `${JSON.stringify(kept, undefined, 2)}\n`);
  }
  console.log('');
  for (const [name, value] of Object.entries(report.lines)) console.log(`${name}: ${value.toFixed(2)}`);
}
