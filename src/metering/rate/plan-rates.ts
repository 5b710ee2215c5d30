import type { Kernel } from '../../database/kernel.ts';
import { selectPlanRate } from './queries.ts';
import type { Rate } from './types.ts';

const mostKept = 10_000;

interface Kept {
  readonly rate: Promise<Rate | undefined>;
  readonly until: number;
}

/** The rates that plans grant, remembered for a while: one look-up per organization, name and `maxAgeMs`, also under load. */
export function createPlanRates(
  kernel: Kernel,
  maxAgeMs: number,
): (tenantId: string, name: string) => Promise<Rate | undefined> {
  const kept = new Map<string, Kept>();
  return (tenantId, name) => {
    const key = `${tenantId}/${name}`;
    const at = performance.now();
    const known = kept.get(key);
    if (known !== undefined && known.until > at) return known.rate;
    kept.delete(key);
    if (kept.size >= mostKept) kept.delete(kept.keys().next().value ?? '');
    const rate = selectPlanRate(kernel, name).catch(async (error: unknown) => {
      // better the rate of before than none; without one the class's own counts
      kept.delete(key);
      if (known !== undefined) return known.rate;
      throw error;
    });
    kept.set(key, { rate, until: at + maxAgeMs });
    return rate;
  };
}
