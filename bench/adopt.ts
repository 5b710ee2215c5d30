import { setTimeout as sleep } from 'node:timers/promises';
import { type AdoptEvent, createAdopt, type RunOptions } from '../src/adopt/index.ts';
import { type LatencyStats, startWorkload } from '../src/adopt/sample/index.ts';
import { type DjangoCost, djangoBackfill } from './adopt.django.ts';
import { keysetBatches, plainUpdate, prepareByHand } from './adopt.rivals.ts';
import {
  type Cost,
  countWrong,
  createShopTemplate,
  measureCost,
  type ShopCopy,
  type ShopTemplate,
} from './adopt.shops.ts';
import { watchLocks } from './adopt.watch.ts';
import { type BenchOptions, benchOptions, benchServer, finish, machine, printTable } from './frame.ts';

// A shop of ten million rows is brought under tenancy: idle beside what people do by hand, and while its application works.
// pgroll, reshape and online_migrations are Go, Rust and Ruby programs that no registry here has; Django is there.

async function ofCopy<T>(template: ShopTemplate, work: (copy: ShopCopy) => Promise<T>): Promise<T> {
  const copy = await template.copy();
  try {
    return await work(copy);
  } finally {
    await copy.drop();
  }
}

/** Our backfill with its triggers in place, as it would run beside an application. */
const ours = (template: ShopTemplate, options: RunOptions): Promise<Cost> =>
  ofCopy(template, async (copy) => {
    const adopt = createAdopt({ adminPool: copy.admin });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    await adopt.run(plan, { to: 'expand' });
    const root = (await adopt.status())?.phases.find(({ phase }) => phase === 'expand')?.rows ?? 0;
    const cost = await measureCost(
      copy,
      async () => (await adopt.run(null, { ...options, to: 'backfill' })).rows - root,
    );
    const wrong = await countWrong(copy);
    if (wrong.length > 0) throw new Error(`rows of another tenant: ${JSON.stringify(wrong)}`);
    return cost;
  });

const byHand = (template: ShopTemplate, fill: typeof plainUpdate): Promise<Cost> =>
  ofCopy(template, async (copy) => {
    await prepareByHand(copy.admin);
    return measureCost(copy, () => fill(copy.admin));
  });

const byDjango = (template: ShopTemplate): Promise<DjangoCost | undefined> =>
  ofCopy(template, async (copy) => {
    await prepareByHand(copy.admin);
    return djangoBackfill(copy, copy.adminUrl);
  });

/** Every row to one organization: nothing is rewritten. */
const constant = (template: ShopTemplate): Promise<number> =>
  ofCopy(template, async (copy) => {
    const adopt = createAdopt({ adminPool: copy.admin });
    const { plan } = await adopt.plan({ constant: 'System Tenant' });
    const { seconds } = await adopt.run(plan, { to: 'verify' });
    return seconds;
  });

interface Loaded {
  readonly before: LatencyStats;
  readonly during: LatencyStats;
  readonly phases: readonly (LatencyStats & { readonly phase: string; readonly seconds: number })[];
  readonly failed: number;
  readonly errors: readonly string[];
  readonly disconnected: number;
  readonly preparedAgain: number;
  readonly lost: number;
  readonly wrong: readonly { readonly table: string; readonly rows: number }[];
  readonly lockWait: { readonly behindTenantry: number; readonly behindAnybody: number; readonly what: string };
  readonly backfillRows: number;
  readonly backfillSeconds: number;
  readonly seconds: number;
}

/** The whole way to shadow while the old application works, knowing nothing of it. */
const underLoad = (template: ShopTemplate, quick: boolean): Promise<Loaded> =>
  ofCopy(template, async (copy) => {
    const errors: string[] = [];
    const workload = await startWorkload(copy.shopUrl, {
      clients: 4,
      pause: 8,
      heavy: true,
      nightlyEvery: quick ? 100 : 1000,
      onError: (error, operation) => errors.push(`${operation}: ${String(error)}`),
    });
    await sleep(quick ? 1000 : 10_000);
    const calm = workload.measure();
    await sleep(quick ? 5000 : 60_000);
    const before = calm.read();
    const adopt = createAdopt({ adminPool: copy.admin });
    const { plan } = await adopt.plan({ root: 'public.shops' });
    const locks = watchLocks(copy.superuser, 'sample shop');
    const all = workload.measure();
    const phases: Loaded['phases'][number][] = [];
    let phase = 'preflight';
    let stretch = workload.measure();
    let began = performance.now();
    const next = (to: string): void => {
      phases.push({ phase, seconds: (performance.now() - began) / 1000, ...stretch.read() });
      [phase, stretch, began] = [to, workload.measure(), performance.now()];
    };
    const onEvent = (event: AdoptEvent): void => {
      if (event.type === 'phase') next(event.phase);
    };
    const started = performance.now();
    await adopt.run(plan, { to: 'tighten', onEvent });
    next('release');
    // the release that preflight asks for: PostgreSQL takes no COPY into a table with policies
    workload.stageCopies(true);
    await sleep(200);
    const { rows } = await adopt.run(null, { to: 'shadow', onEvent });
    const seconds = (performance.now() - started) / 1000;
    next('');
    const during = all.read();
    const lockWait = await locks.stop();
    const stats = await workload.stop();
    const backfill = phases.find((one) => one.phase === 'backfill');
    return {
      before,
      during,
      phases: phases.filter((one) => one.phase !== 'release'),
      failed: stats.failed,
      errors: errors.slice(0, 5),
      disconnected: stats.disconnected,
      preparedAgain: stats.preparedAgain,
      lost: await workload.countLost(copy.superuser),
      wrong: await countWrong(copy),
      lockWait,
      backfillRows: rows,
      backfillSeconds: backfill?.seconds ?? 0,
      seconds,
    };
  });

const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6).toLocaleString('en-US')} MB`;
const rate = ({ rows, seconds }: Cost): number => rows / seconds;

function printIdle(costs: Readonly<Record<string, Cost>>): void {
  printTable(
    'idle: the tenant of every row',
    ['', 'rows/s', 'seconds', 'WAL', 'bytes of WAL a row', 'page images', 'disk growth'],
    Object.entries(costs).map(([name, cost]) => [
      name,
      rate(cost),
      cost.seconds.toFixed(1),
      megabytes(cost.walBytes),
      cost.walBytes / cost.rows,
      cost.pageImages,
      megabytes(cost.diskBytes),
    ]),
  );
}

function printLoaded(loaded: Loaded): void {
  const { before, during, lockWait } = loaded;
  printTable(
    'the application’s statements, in milliseconds',
    ['', 'statements', 'seconds', 'p50', 'p99', 'slowest', ''],
    [
      ['before', before.statements, '', before.p50, before.p99, before.slowest, before.slowestOperation],
      ...loaded.phases.map((one) => [
        one.phase,
        one.statements,
        one.seconds.toFixed(1),
        one.p50,
        one.p99,
        one.slowest,
        one.slowestOperation,
      ]),
      [
        'during all of it',
        during.statements,
        loaded.seconds.toFixed(1),
        during.p50,
        during.p99,
        during.slowest,
        during.slowestOperation,
      ],
    ],
  );
  console.log(
    `\nunder load: ${Math.round(loaded.backfillRows / loaded.backfillSeconds).toLocaleString('en-US')} rows/s; failed statements ${loaded.failed}, ` +
      `disconnected ${loaded.disconnected}, prepared again ${loaded.preparedAgain}, lost rows ${loaded.lost}, ` +
      `wrong rows ${loaded.wrong.reduce((sum, { rows }) => sum + Math.abs(rows), 0)}, ` +
      `longest wait for a lock of Tenantry's ${Math.round(lockWait.behindTenantry)} ms${lockWait.what === '' ? '' : ` (${lockWait.what})`}, of anybody's ${Math.round(lockWait.behindAnybody)} ms`,
  );
  for (const error of loaded.errors) console.log(`  failed: ${error}`);
  for (const { table, rows } of loaded.wrong) console.log(`  wrong: ${table} ${rows}`);
}

async function main(options: BenchOptions): Promise<void> {
  const wanted = Number(process.env['ROWS'] ?? (options.quick ? 500_000 : 10_000_000));
  // The server's own default for ten million rows, and less for less: as many checkpoints per row, for all that is measured.
  const log = Math.max(64, Math.round((1024 * wanted) / 10_000_000));
  const server = await benchServer({
    max_connections: '60',
    shared_buffers: options.quick ? '512MB' : '2GB',
    max_wal_size: `${log}MB`,
    min_wal_size: '32MB',
    log_checkpoints: 'off',
  });
  try {
    const started = performance.now();
    const template = await createShopTemplate(server, wanted / 1.2);
    console.log(
      `${template.rows.toLocaleString('en-US')} rows in ${Object.keys(template.byTable).length} tables, ${megabytes(template.bytes)}, made in ${Math.round((performance.now() - started) / 1000)} s`,
    );
    const costs: Record<string, Cost> = {};
    if (!options.quick) costs['one UPDATE per table'] = await byHand(template, plainUpdate);
    costs['keyset batches of 10,000'] = await byHand(template, keysetBatches);
    costs['Tenantry'] = await ours(template, {});
    if (!options.quick) costs['Tenantry, one table at a time'] = await ours(template, { parallel: 1 });
    const django = options.quick ? undefined : await byDjango(template);
    if (django !== undefined) costs[`Django ${django.version}, payments for half a minute`] = django;
    printIdle(costs);
    const constantSeconds = await constant(template);
    console.log(`\nconstant tenant: ${constantSeconds.toFixed(2)} s for ${template.rows.toLocaleString('en-US')} rows`);
    const loaded = await underLoad(template, options.quick);
    printLoaded(loaded);
    const described = machine(server);
    console.log(
      `\n${Object.entries(described)
        .map(([key, value]) => `${key}: ${value}`)
        .join(', ')}`,
    );
    const mine = costs['Tenantry'];
    const keyset = costs['keyset batches of 10,000'];
    finish('adopt', options, {
      machine: described,
      lines: {
        failed: loaded.failed + loaded.disconnected,
        lost: loaded.lost + loaded.wrong.length,
        constant_seconds: constantSeconds,
        lock_wait_ms: loaded.lockWait.behindTenantry,
        p99: loaded.during.p99 / loaded.before.p99,
        keyset: rate(mine) / rate(keyset),
        wal: mine.walBytes / keyset.walBytes,
      },
      results: { rows: template.rows, costs, constantSeconds, loaded },
    });
  } finally {
    await server.stop();
  }
}

await main(benchOptions());
