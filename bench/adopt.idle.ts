import { createAdopt, type RunOptions } from '../src/adopt/index.ts';
import { type DjangoCost, djangoBackfill } from './adopt.django.ts';
import type { Table } from './adopt.table.ts';
import { prepareByHand } from './adopt.rivals.ts';
import { type Cost, countWrong, measureCost, ofCopy, type ShopCopy, type ShopTemplate } from './adopt.shops.ts';

/** Our backfill with its triggers in place, as it would run beside an application. */
export const ours = (template: ShopTemplate, options: RunOptions): Promise<Cost> =>
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

export const byHand = (template: ShopTemplate, fill: (db: ShopCopy['admin']) => Promise<number>): Promise<Cost> =>
  ofCopy(template, async (copy) => {
    await prepareByHand(copy.admin);
    return measureCost(copy, () => fill(copy.admin));
  });

export const byDjango = (template: ShopTemplate): Promise<DjangoCost | undefined> =>
  ofCopy(template, async (copy) => {
    await prepareByHand(copy.admin);
    return djangoBackfill(copy, copy.adminUrl);
  });

/** Every row to one organization: nothing is rewritten. */
export const constant = (template: ShopTemplate): Promise<number> =>
  ofCopy(template, async (copy) => {
    const adopt = createAdopt({ adminPool: copy.admin });
    const { plan } = await adopt.plan({ constant: 'System Tenant' });
    const { seconds } = await adopt.run(plan, { to: 'verify' });
    return seconds;
  });

export const megabytes = (bytes: number): string => `${Math.round(bytes / 1e6).toLocaleString('en-US')} MB`;
export const rate = ({ rows, seconds }: Cost): number => rows / seconds;

export const idleTable = (costs: Readonly<Record<string, Cost>>): Table => ({
  title: 'idle: the tenant of every row',
  header: ['', 'rows/s', 'seconds', 'µs of processor a row', 'WAL', 'bytes of WAL a row', 'page images', 'disk growth'],
  rows: Object.entries(costs).map(([name, cost]) => [
    name,
    rate(cost),
    cost.seconds.toFixed(1),
    (cost.processor / cost.rows) * 1e6,
    megabytes(cost.walBytes),
    cost.walBytes / cost.rows,
    cost.pageImages.toLocaleString('en-US'),
    megabytes(cost.diskBytes),
  ]),
});
