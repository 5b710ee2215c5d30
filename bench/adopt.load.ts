import { setTimeout as sleep } from 'node:timers/promises';
import { type AdoptEvent, createAdopt, type RunOptions } from '../src/adopt/index.ts';
import { type LatencyStats, startWorkload } from '../src/adopt/sample/index.ts';
import { countWrong, ofCopy, type ShopTemplate } from './adopt.shops.ts';
import { watchLocks } from './adopt.watch.ts';
import type { Table } from './adopt.table.ts';

export interface Loaded {
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
export const underLoad = (template: ShopTemplate, quick: boolean, options: RunOptions = {}): Promise<Loaded> =>
  ofCopy(template, async (copy) => {
    const errors: string[] = [];
    const workload = await startWorkload(copy.shopUrl, {
      clients: 4,
      pause: 8,
      heavy: true,
      nightlyEvery: quick ? 100 : 1000,
      onError: (error, operation) => errors.push(`${operation}: ${String(error)}`),
    });
    await sleep(quick ? 1000 : 5000);
    const calm = workload.measure();
    await sleep(quick ? 5000 : 30_000);
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
      console.error(`under load: ${phase} took ${((performance.now() - began) / 1000).toFixed(1)} s`);
      phases.push({ phase, seconds: (performance.now() - began) / 1000, ...stretch.read() });
      [phase, stretch, began] = [to, workload.measure(), performance.now()];
    };
    const onEvent = (event: AdoptEvent): void => {
      if (event.type === 'phase') next(event.phase);
    };
    const started = performance.now();
    await adopt.run(plan, { ...options, to: 'tighten', onEvent });
    next('release');
    // the release that preflight asks for: PostgreSQL takes no COPY into a table with policies
    workload.stageCopies(true);
    await sleep(200);
    const { rows } = await adopt.run(null, { ...options, to: 'shadow', onEvent });
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

export const loadedTable = ({ before, during, phases, seconds }: Loaded): Table => ({
  title: 'the application’s statements, in milliseconds',
  header: ['', 'statements', 'seconds', 'p50', 'p99', 'slowest', ''],
  rows: [
    latencies('before', before),
    ...phases.map((one) => latencies(one.phase, one, one.seconds)),
    latencies('during all of it', during, seconds),
  ],
});

const latencies = (name: string, stats: LatencyStats, seconds?: number): (string | number)[] => [
  name,
  stats.statements.toLocaleString('en-US'),
  seconds?.toFixed(1) ?? '',
  stats.p50,
  stats.p99,
  stats.slowest,
  stats.slowestOperation,
];

export function describeLoaded(loaded: Loaded): string[] {
  const { lockWait } = loaded;
  return [
    `under load: ${Math.round(loaded.backfillRows / loaded.backfillSeconds).toLocaleString('en-US')} rows/s; failed statements ${loaded.failed}, ` +
      `disconnected ${loaded.disconnected}, prepared again ${loaded.preparedAgain}, lost rows ${loaded.lost}, ` +
      `wrong rows ${loaded.wrong.reduce((sum, { rows }) => sum + Math.abs(rows), 0)}, ` +
      `longest wait for a lock of Tenantry's ${Math.round(lockWait.behindTenantry)} ms${lockWait.what === '' ? '' : ` (${lockWait.what})`}, of anybody's ${Math.round(lockWait.behindAnybody)} ms`,
    ...loaded.errors.map((error) => `failed: ${error}`),
    ...loaded.wrong.map(({ table, rows }) => `wrong: ${table} ${rows}`),
  ];
}
