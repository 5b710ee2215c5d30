import type { Kernel } from '../../database/kernel.ts';
import type { Rate } from './types.ts';

/** Requests as tenantry.rate_take reads them: each key once, and per request its group, its key's place and its rate. */
export interface RateBatch {
  readonly keys: readonly string[];
  readonly groups: readonly number[];
  readonly slots: readonly number[];
  readonly steps: readonly number[];
  readonly bursts: readonly number[];
  readonly costs: readonly number[];
}

export async function takeRates(
  kernel: Kernel,
  { keys, groups, slots, steps, bursts, costs }: RateBatch,
): Promise<{ allowed: boolean[]; ahead: number[] }> {
  const [row] = await kernel.query<{ allowed: boolean[]; ahead: number[] }>(
    `select r.allowed, r.ahead from tenantry.rate_take($1::text[], $2::int[], $3::int[], $4::float8[], $5::float8[], $6::float8[]) r`,
    [keys, groups, slots, steps, bursts, costs],
  );
  return row ?? { allowed: [], ahead: [] };
}

export async function sweepRates(kernel: Kernel, pages: number): Promise<void> {
  await kernel.query('select tenantry.rate_sweep($1::int) as gone', [pages]);
}

export async function forgetRates(kernel: Kernel, keys: readonly string[]): Promise<void> {
  await kernel.query('select tenantry.rate_forget($1::text[])', [keys]);
}

/** The rate that the plan of the context's organization grants under a name. */
export async function selectPlanRate(kernel: Kernel, name: string): Promise<Rate | undefined> {
  const [row] = await kernel.query<{ limit: number; periodMs: number; burst: number | null }>(
    `select r.max_requests as limit, r.period_ms::float8 as "periodMs", r.burst from tenantry.tenant_rate($1::text) r`,
    [name],
  );
  if (row === undefined) return undefined;
  const { limit, periodMs, burst } = row;
  return { limit, periodMs, ...(burst === null ? {} : { burst }) };
}
