import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { type EmbeddedServer, startEmbedded } from '../../../../src/database/embedded/server.ts';
import { ensureLogin } from '../../../../src/database/logins.ts';
import { migrateUp } from '../../../../src/database/migrate.ts';

/** What is killed: the process that counts, the backend that it counts on (the server restarts itself), or the whole server at once. */
export const victims = ['process', 'backend', 'server'] as const;
type Victim = (typeof victims)[number];

export interface UsageKillReport {
  readonly kills: Readonly<Record<Victim, number>>;
  /** Different events that were sent, and how many of them were acknowledged before the last round. */
  readonly sent: number;
  readonly acknowledged: number;
  /** Times that an event was sent again. */
  readonly repeated: number;
  readonly alerts: number;
}

export interface UsageKillOptions {
  readonly kills: number;
  readonly seed: number;
  /** Folder with the library as JavaScript: the counting process is one of its own. */
  readonly compiled: string;
  readonly binaries?: string;
  readonly onKill?: (line: string) => void;
}

function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return (state >>> 0) / 4294967296;
  };
}

const settings = { fsync: 'off', shared_buffers: '64MB', max_connections: '40', restart_after_crash: 'on' };
const organizations = 5;
/** Low, and with levels far beyond it, so that some are reached before each of the kills. Per cent. */
const limit = 10;
const levels = [90, ...Array.from({ length: 13 }, (_, i) => 100 * 2 ** i)];

/**
 * Counts under load from a process of its own, kills at random moments, goes on. A third of what is sent was sent before. What
 * was acknowledged must be in the ledger after every kill; in the end everything is sent once more, and ledger, counters and
 * different events are the same number, for each organization.
 *
 * @throws at the first difference
 */
export async function killUsageAgainAndAgain(options: UsageKillOptions): Promise<UsageKillReport> {
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-kill-usage-'));
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
  /** Organization and id of every event that was sent; true once it was acknowledged. */
  const events = new Map<string, boolean>();
  let repeated = 0;
  let worker: Worker | undefined;
  try {
    const { adminUrl, appUrl, tenants } = await prepare(server);
    const launch = (round: number, only: string[] = [], endless = true): Worker =>
      spawnWorker(
        options.compiled,
        appUrl,
        { tenants, round, seed: Math.floor(random() * 2 ** 31), only, endless },
        (line) => {
          const [verb, ...rest] = line.split(' ');
          const event = rest.join(' ');
          if (verb === 'ack') events.set(event, true);
          else if (events.has(event)) repeated += 1;
          else events.set(event, false);
        },
      );
    const sum = (): number => kills.process + kills.backend + kills.server;
    worker = launch(0);
    while (sum() < options.kills) {
      await worker.begun;
      await sleep(60 + random() * 240);
      const victim = victims[Math.floor(random() * victims.length)] ?? 'process';
      kills[victim] += 1;
      options.onKill?.(`${sum()} of ${options.kills}: ${victim}; ${events.size} events sent`);
      if (victim === 'process') {
        await worker.kill();
        worker = launch(sum(), unacknowledged(events));
      } else if (victim === 'backend') {
        await killBackend(adminUrl, random());
      } else {
        killServer(server);
        server = await start(server.port);
      }
      await lost(adminUrl, events);
    }
    const acknowledged = events.size - unacknowledged(events).length;
    await worker.kill();
    // everything once more: what is unknown is counted now, and nothing twice
    worker = launch(sum() + 1, [...events.keys()], false);
    await worker.done();
    if (unacknowledged(events).length > 0)
      throw new Error(`${unacknowledged(events).length} events were never acknowledged`);
    const alerts = await judge(adminUrl, events);
    return { kills, sent: events.size, acknowledged, repeated, alerts };
  } finally {
    await worker?.kill();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
    rmSync(server.folder, { recursive: true, force: true });
  }
}

const unacknowledged = (events: ReadonlyMap<string, boolean>): string[] =>
  [...events].filter(([, known]) => !known).map(([event]) => event);

async function onServer<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {});
  await client.connect();
  try {
    return await fn(client);
  } finally {
    await client.end();
  }
}

/** What was acknowledged before this moment is in the ledger. */
async function lost(url: string, events: ReadonlyMap<string, boolean>): Promise<void> {
  const known = [...events].filter(([, acknowledged]) => acknowledged).map(([event]) => event);
  const missing = await asked(url, async (client) => {
    const { rows } = await client.query<{ event: string }>(
      `select event from unnest($1::text[]) event except select tenant_id || ' ' || id from tenantry.usage_events`,
      [known],
    );
    return rows;
  });
  if (missing.length > 0)
    throw new Error(`${missing.length} acknowledged events are lost, such as ${missing[0]?.event}`);
}

async function judge(url: string, events: ReadonlyMap<string, boolean>): Promise<number> {
  return asked(url, async (client) => {
    const { rows } = await client.query<{
      tenant: string;
      ledger: number;
      days: number;
      months: number;
      namespaces: number;
      differences: number;
    }>(
      `select o.id as tenant, (select count(*)::int from tenantry.usage_events e where e.tenant_id = o.id) as ledger,
         (select sum(value)::int from tenantry.usage_periods p where p.tenant_id = o.id and period = 'day' and namespace_id = '00000000-0000-0000-0000-000000000000') as days,
         (select sum(value)::int from tenantry.usage_periods p where p.tenant_id = o.id and period = 'month' and namespace_id = '00000000-0000-0000-0000-000000000000') as months,
         (select sum(value)::int from tenantry.usage_periods p where p.tenant_id = o.id and period = 'month' and namespace_id <> '00000000-0000-0000-0000-000000000000') as namespaces,
         (select count(*)::int from tenantry.usage_differences(o.id)) as differences
       from tenantry.organizations o`,
    );
    for (const { tenant, differences, ...counts } of rows) {
      const sent = [...events.keys()].filter((event) => event.startsWith(tenant)).length;
      if (Object.values(counts).some((count) => count !== sent) || differences > 0)
        throw new Error(
          `${tenant}: ${sent} events were sent, and counted ${JSON.stringify({ ...counts, differences })}`,
        );
    }
    // every level that a counter has reached was told, and once
    const { rows: told } = await client.query<{ due: number; alerts: number; events: number; missing: number }>(
      `with due as (
         select p.tenant_id, p.period_start, l.level from tenantry.usage_periods p
         join tenantry.usage_alert_levels o on o.tenant_id = p.tenant_id and o.metric = p.metric cross join unnest(o.levels) l(level)
         where p.period = 'month' and p.namespace_id = '00000000-0000-0000-0000-000000000000' and p.value >= $1 * l.level / 100)
       select (select count(*)::int from due) as due, (select count(*)::int from tenantry.usage_alerts) as alerts,
         (select count(*)::int from tenantry.outbox where topic = 'usage.alert') as events,
         (select count(*)::int from (select tenant_id, period_start, level from due
           except select tenant_id, (payload ->> 'periodStart')::timestamptz, (payload ->> 'level')::numeric from tenantry.outbox where topic = 'usage.alert') x) as missing`,
      [limit],
    );
    const [alert] = told;
    if (alert === undefined || alert.due !== alert.alerts || alert.due !== alert.events || alert.missing > 0)
      throw new Error(`alerts were told twice or not at all: ${JSON.stringify(alert)}`);
    return alert.alerts;
  });
}

async function prepare(
  server: EmbeddedServer,
): Promise<{ adminUrl: string; appUrl: string; tenants: { id: string; namespace: string }[] }> {
  const url = (user: string): string =>
    Object.assign(new URL(server.superuserUrl), { username: user, password: 'killed', pathname: '/usage' }).href;
  await onServer(server.superuserUrl, async (root) => {
    await root.query(`create role tenantry_admin login createrole createdb password 'killed'`);
    await root.query('create database usage owner tenantry_admin');
  });
  const admin = new pg.Pool({ connectionString: url('tenantry_admin'), max: 1 });
  await migrateUp(admin);
  await ensureLogin(admin, { name: 'usage_app', password: 'killed', group: 'tenantry_app' });
  const { rows } = await admin.query<{ id: string; namespace: string }>(
    `with made as (insert into tenantry.organizations (name, slug) select 'O' || i, 'o-' || i from generate_series(1, ${organizations}) i returning id),
       spaces as (insert into tenantry.namespaces (tenant_id, name) select id, 'production' from made returning tenant_id, id)
     select tenant_id as id, id as namespace from spaces`,
  );
  await admin.query(
    `insert into tenantry.limits (tenant_id, principal_id, metric, quantity, hard) select id, id, 'api_calls', $1, false from tenantry.organizations`,
    [limit],
  );
  await admin.query(
    `insert into tenantry.usage_alert_levels (tenant_id, metric, levels) select id, 'api_calls', $1 from tenantry.organizations`,
    [levels],
  );
  await admin.end();
  return { adminUrl: url('tenantry_admin'), appUrl: url('usage_app'), tenants: rows };
}

interface Worker {
  readonly begun: Promise<void>;
  /** It was told what to send, and that is acknowledged. */
  done(): Promise<void>;
  kill(): Promise<void>;
}

/** 16 callers who count until they are killed, or send what they are told and end. */
function spawnWorker(
  folder: string,
  url: string,
  work: { tenants: { id: string; namespace: string }[]; round: number; seed: number; only: string[]; endless: boolean },
  onLine: (line: string) => void,
): Worker {
  const script = `
    import { readFileSync } from 'node:fs';
    import { createKernel, createPool, createUsage, withTenant } from './index.js';
    const work = JSON.parse(readFileSync(0, 'utf8'));
    const pool = createPool({ connectionString: process.env.APP, max: 4, application_name: 'counting' });
    pool.on('error', () => {});
    const usage = createUsage(createKernel(pool), { patienceMs: 120000 });
    let state = work.seed;
    const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) | 0) >>> 0) / 4294967296;
    const mine = [];
    const namespaceOf = new Map(work.tenants.map(({ id, namespace }) => [id, namespace]));
    async function send(event) {
      const [tenantId, id] = event.split(' ');
      process.stdout.write('sent ' + event + '\\n');
      await withTenant({ tenantId }, () => usage.record({ id, metric: 'api_calls', namespaceId: namespaceOf.get(tenantId) }));
      process.stdout.write('ack ' + event + '\\n');
    }
    let next = 0;
    const again = work.only;
    async function caller() {
      while (again.length > 0) await send(again.pop());
      while (process.env.ENDLESS === 'yes') {
        const known = mine.length > 0 && random() < 0.3;
        const event = known ? mine[Math.floor(random() * mine.length)] : work.tenants[Math.floor(random() * work.tenants.length)].id + ' ' + work.round + '-' + next++;
        if (!known) mine.push(event);
        await send(event);
      }
    }
    try {
      await Promise.all(Array.from({ length: 16 }, caller));
      await usage.close();
      await pool.end();
    } catch (error) {
      console.error(error);
      process.exit(1);
    }`;
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    env: { ...process.env, APP: url, ENDLESS: work.endless ? 'yes' : 'no' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  child.stdin?.end(JSON.stringify(work));
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const ended = once(child, 'close').then(([code]) => code as number | null);
  let rest = '';
  const begun = new Promise<void>((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? ''; // a line that was cut off is not a promise
      for (const line of lines) onLine(line);
      resolve();
    });
    void ended.then((code) =>
      code === 0 || code === null ? resolve() : reject(new Error(`the counting process failed: ${errors}`)),
    );
  });
  begun.catch(() => {});
  return {
    begun,
    async done() {
      const code = await ended;
      if (code !== 0) throw new Error(`the counting process failed: ${errors}`);
    },
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function killBackend(adminUrl: string, which: number): Promise<void> {
  const pids = await asked(adminUrl, async (client) => {
    const { rows } = await client.query<{ pid: number }>(
      `select pid from pg_stat_activity where application_name = 'counting'`,
    );
    return rows.map(({ pid }) => pid);
  });
  const pid = pids[Math.floor(which * pids.length)];
  if (pid !== undefined) signalKill([pid]);
}

function killServer(server: EmbeddedServer): void {
  const postmaster = Number(readFileSync(join(server.folder, 'data', 'postmaster.pid'), 'utf8').split('\n')[0]);
  const children = readdirSync('/proc').filter((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === postmaster;
    } catch {
      return false;
    }
  });
  signalKill([postmaster, ...children.map(Number)]);
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

const lostConnection = new Set(['ECONNRESET', 'ECONNREFUSED', 'EPIPE', '57P01', '57P02', '57P03']);

/** A server of which a part was killed may still take a connection, and end it in the middle: it is asked until it answers. */
async function asked<T>(url: string, fn: (client: pg.Client) => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await onServer(url, fn);
    } catch (error) {
      const { code = '', message = '' } = error as { code?: string; message?: string };
      if (tries === 600 || !(lostConnection.has(code) || message.startsWith('Connection terminated'))) throw error;
      await sleep(50);
    }
  }
}
