import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createAdopt, dumpSchema } from '../../../src/adopt/index.ts';
import { createSampleShop, type Deployment, startWorkload, type Workload } from '../../../src/adopt/sample/index.ts';
import { withTenant } from '../../../src/context/index.ts';
import { type EmbeddedServer, startEmbedded } from '../../../src/database/embedded/server.ts';
import { migrateUp } from '../../../src/database/migrate.ts';
import { createPool, type TenantPool } from '../../../src/pool/index.ts';
import { countWrongTenants } from '../support/wrong-tenants.ts';

/** What is killed: the process that adopts, its backend (the server then restarts itself), or the whole server at once. */
export const victims = ['process', 'backend', 'server'] as const;
export type Victim = (typeof victims)[number];

export interface KillReport {
  readonly kills: Readonly<Record<Victim, number>>;
  /** Times that a run which had been killed came to its end, and that an undo did. */
  readonly runs: number;
  readonly undos: number;
  readonly statements: number;
  /** In which phase each kill met the adoption. */
  readonly phases: Readonly<Record<string, number>>;
}

export interface KillOptions {
  readonly kills: number;
  readonly seed: number;
  /** Folder with the library as JavaScript: the adopting process is one of its own. */
  readonly compiled: string;
  /** Folder of PostgreSQL's binaries; the embedded ones by default. */
  readonly binaries?: string;
  readonly rows?: number;
  /**
   * `shadow`, with the application as it was; or `enforced`, with one that names its tenant as soon as there is one, as its next
   * version would. Default shadow.
   */
  readonly to?: 'shadow' | 'enforced';
  readonly onKill?: (line: string) => void;
}

/** A small generator (mulberry32), so that a seed gives the same moments again. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Crash-safe as in production, but for the operating system's own crash: nothing here ends that. */
const settings = {
  fsync: 'off',
  shared_buffers: '64MB',
  max_connections: '60',
  max_wal_size: '256MB',
  restart_after_crash: 'on',
};

/**
 * Adopts the sample shop, kills at random moments while its old application works, runs again, until `kills` is reached; each time
 * a run comes to its end the state must be the one of a run that nobody disturbed. The way back is killed as well.
 *
 * @throws at the first difference, lost row or wrongly assigned row
 */
export async function killAgainAndAgain(options: KillOptions): Promise<KillReport> {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-kill-'));
  const random = randomOf(options.seed);
  const start = (port?: number): Promise<EmbeddedServer> =>
    startEmbedded({
      folder,
      settings,
      ...(port === undefined ? {} : { port }),
      ...(options.binaries === undefined ? {} : { binaries: options.binaries }),
    });
  let server = await start();
  const kills: Record<Victim, number> = { process: 0, backend: 0, server: 0 };
  const phases: Record<string, number> = {};
  const failures: string[] = [];
  let runs = 0;
  let undos = 0;
  let workload: Workload | undefined;
  let next: TenantPool | undefined;
  try {
    const { adminUrl, shopUrl } = await prepare(server, options.rows ?? 1500);
    const pool = new pg.Pool({ connectionString: adminUrl, max: 6, application_name: 'judge' });
    pool.on('error', () => {});
    const before = await dumpSchema(pool);

    // undisturbed once: the end state, and how long it takes
    const to = options.to ?? 'shadow';
    const went = await timed(options.compiled, adminUrl, 'run', to);
    const goal = await dumpSchema(pool);
    const back = await timed(options.compiled, adminUrl, 'undo', 'preflight');
    equal('the schema after an undisturbed undo', await dumpSchema(pool), before);

    workload = await startWorkload(shopUrl, {
      clients: 2,
      heavy: true,
      nightlyEvery: 60,
      onError: (error, operation) => failures.push(`${operation}: ${String(error)}`),
    });
    // PostgreSQL takes no COPY into a table with policies: this application was changed in time
    workload.stageCopies(true);
    if (to === 'enforced') {
      next = createPool({ connectionString: shopUrl, max: 2, missingContext: 'count' });
      next.on('error', () => {});
      await workload.deploy(namesItsTenant(next, pool));
    }
    let direction: 'run' | 'undo' = 'run';
    const sum = (): number => kills.process + kills.backend + kills.server;
    let streak = 0;
    while (sum() < options.kills || direction === 'undo') {
      const victim = victims[Math.floor(random() * victims.length)] ?? 'process';
      const moment = random() * (direction === 'run' ? went : back) * 0.6;
      // now and then one comes to its end, and is judged
      const live = sum() < options.kills && streak < 6;
      const child = spawnWork(options.compiled, adminUrl, direction, direction === 'run' ? to : 'preflight');
      await child.begun;
      const ended = await Promise.race([child.ended, sleep(live ? moment : 600_000, undefined, { ref: false })]);
      if (ended === undefined) {
        kills[victim] += 1;
        streak += 1;
        const phase = `${direction === 'undo' ? 'undo of ' : ''}${child.phase()}`;
        phases[phase] = (phases[phase] ?? 0) + 1;
        options.onKill?.(`${sum()} of ${options.kills}: ${victim} after ${Math.round(moment)} ms, in ${phase}`);
        server = await kill(victim, child, server, adminUrl, start, random());
        continue;
      }
      if (ended.code !== 0) throw new Error(`${direction} failed: ${ended.errors}`);
      streak = 0;
      if (direction === 'run') {
        runs += 1;
        equal('the schema', await dumpSchema(pool), goal);
        equal('rows of another tenant', JSON.stringify(await countWrongTenants(pool)), '{}');
        equal('findings', JSON.stringify(await createAdopt({ adminPool: pool }).verify()), '[]');
        const { rows } = await pool.query(
          'select indexrelid::regclass::text as name from pg_index where not indisvalid',
        );
        equal('invalid indexes', JSON.stringify(rows), '[]');
      } else {
        undos += 1;
        equal('the schema after undo', await dumpSchema(pool), before);
        equal('organizations', JSON.stringify((await pool.query('select 1 from tenantry.organizations')).rows), '[]');
      }
      direction = direction === 'run' ? 'undo' : 'run';
    }
    const stats = await workload.stop();
    equal('failed statements', failures.join('; '), '');
    equal('lost rows', String(await workload.countLost(pool)), '0');
    workload = undefined;
    await pool.end();
    return { kills, runs, undos, statements: stats.statements, phases };
  } finally {
    await workload?.stop().catch(() => undefined);
    await next?.end().catch(() => undefined);
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(server.folder, { recursive: true, force: true });
  }
}

/** The application that knows of tenants: without a context only while no organization is there. */
function namesItsTenant(pool: TenantPool, judge: pg.Pool): Deployment {
  return {
    pool,
    async withShop(shop, request) {
      const { rows } = await judge.query<{ id: string }>('select id from tenantry.organizations where key = $1', [
        shop,
      ]);
      const tenantId = rows[0]?.id;
      return tenantId === undefined ? request() : withTenant({ tenantId }, request);
    },
  };
}

function equal(what: string, found: string, wanted: string): void {
  if (found === wanted) return;
  const lines = new Set(wanted.split('\n'));
  const other = found.split('\n').filter((line) => !lines.has(line));
  throw new Error(`${what} differ: ${other.slice(0, 20).join('\n') || `missing lines; ${found.length} characters`}`);
}

async function prepare(server: EmbeddedServer, rows: number): Promise<{ adminUrl: string; shopUrl: string }> {
  const url = (user: string, database: string): string =>
    Object.assign(new URL(server.superuserUrl), { username: user, password: 'killed', pathname: `/${database}` }).href;
  const root = new pg.Client({ connectionString: server.superuserUrl });
  await root.connect();
  await root.query(`create role tenantry_admin login createrole createdb password 'killed'`);
  await root.query('create database shop owner tenantry_admin');
  await root.end();
  const adminUrl = url('tenantry_admin', 'shop');
  const admin = new pg.Pool({ connectionString: adminUrl, max: 1 });
  await migrateUp(admin);
  await admin.query(`create role shop_app login password 'killed'`);
  await admin.query('grant shop_app to tenantry_admin');
  await admin.query('grant create on schema public to shop_app');
  await admin.end();
  const shopUrl = url('shop_app', 'shop');
  const owner = new pg.Client({ connectionString: shopUrl });
  await owner.connect();
  await createSampleShop(owner, { rows });
  await owner.end();
  return { adminUrl, shopUrl };
}

interface Child {
  readonly pid: number;
  readonly begun: Promise<void>;
  readonly ended: Promise<{ code: number; errors: string }>;
  phase(): string;
  kill(): void;
}

/** A process of its own that goes on with the adoption, or takes it back. */
function spawnWork(folder: string, url: string, work: 'run' | 'undo', to: string): Child {
  const script = `
    import pg from 'pg';
    import { createAdopt } from './adopt/index.js';
    const adminPool = new pg.Pool({ connectionString: process.env.ADMIN, max: 6, application_name: 'adopting' });
    adminPool.on('error', () => {});
    const adopt = createAdopt({ adminPool });
    process.stdout.write('begun\\n');
    const onEvent = (e) => { if (e.phase !== undefined) process.stdout.write(e.phase + '\\n'); };
    try {
      if ('${work}' === 'run') {
        const open = await adopt.status();
        const plan = open?.status === 'open' ? null : (await adopt.plan({ root: 'public.shops' })).plan;
        await adopt.run(plan, { onEvent, to: '${to}', nice: 0 });
      } else if ((await adopt.status())?.status === 'open') await adopt.undo({ onEvent });
    } catch (error) {
      console.error(error);
      process.exit(1);
    }
    process.exit(0);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    env: { ...process.env, ADMIN: url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let phase = 'preflight';
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const begun = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      phase = chunk.toString().trim().split('\n').at(-1) ?? phase;
      resolve();
    });
    child.on('exit', () => resolve());
  });
  return {
    pid: child.pid ?? 0,
    begun,
    ended: once(child, 'close').then(([code]) => ({ code: Number(code ?? 1), errors })),
    phase: () => (phase === 'begun' ? 'preflight' : phase),
    kill: () => void child.kill('SIGKILL'),
  };
}

async function timed(folder: string, url: string, work: 'run' | 'undo', to: string): Promise<number> {
  const child = spawnWork(folder, url, work, to);
  await child.begun;
  const started = performance.now();
  const { code, errors } = await child.ended;
  if (code !== 0) throw new Error(`an undisturbed ${work} failed: ${errors}`);
  return performance.now() - started;
}

async function kill(
  victim: Victim,
  child: Child,
  server: EmbeddedServer,
  adminUrl: string,
  start: (port?: number) => Promise<EmbeddedServer>,
  which: number,
): Promise<EmbeddedServer> {
  const pids = victim === 'backend' ? await backendsOf(adminUrl) : [];
  const pid = pids[Math.floor(which * pids.length)];
  if (victim === 'process' || (victim === 'backend' && pid === undefined)) {
    child.kill();
    await child.ended;
    return server;
  }
  if (pid !== undefined) signalKill([pid]);
  else {
    const postmaster = Number(readFileSync(join(server.folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
    signalKill([postmaster, ...childrenOf(postmaster)]);
  }
  // a run that lost its server says so and ends by itself; one whose connection was idle may come to its end
  const late = await Promise.race([child.ended, sleep(20_000, undefined, { ref: false })]);
  if (late === undefined) throw new Error(`the run did not notice that its ${victim} was killed`);
  if (late.code !== 0 && !/TNT_(SERVER_UNREACHABLE|ADOPT_RUNNING)/.test(late.errors))
    throw new Error(`a killed ${victim} ended the run with: ${late.errors}`);
  const next = victim === 'server' ? await start(server.port) : server;
  await answers(adminUrl);
  return next;
}

async function backendsOf(adminUrl: string): Promise<number[]> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  const { rows } = await client.query<{ pid: number }>(
    `select pid from pg_stat_activity where application_name = 'adopting' order by (state = 'active') desc, pid`,
  );
  await client.end();
  return rows.map(({ pid }) => pid);
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return Number(fields[1]) === parent ? [Number(entry)] : [];
    } catch {
      return [];
    }
  });
}

/** The server runs as an account of its own; the command line reaches it where this process does not. */
function signalKill(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      spawnSync('kill', ['-9', String(pid)]);
    }
  }
}

async function answers(url: string): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => {});
    try {
      await client.connect();
      await client.query('select 1');
      return;
    } catch {
      await sleep(100);
    } finally {
      await client.end().catch(() => undefined);
    }
  }
  throw new Error('the server did not come back');
}
