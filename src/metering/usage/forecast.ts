import type { Aggregation } from './schema.ts';
import type { UsageSpan } from './statistics.ts';

/**
 * What a period comes to if it goes on at the rate of its last seven days, today included (fewer when it is younger).
 * Measured in elapsed time, so that a day of 23 or 25 hours counts for what it is. Pure.
 */
export function forecast({
  aggregation,
  current,
  recent,
  now,
  limit,
}: {
  readonly aggregation: Aggregation;
  readonly current: UsageSpan;
  /** Days of the period up to now, the latest last. */
  readonly recent: readonly UsageSpan[];
  readonly now: Date;
  /** Null: unlimited. */
  readonly limit: number | null;
}): { value: number; reachesLimitAt: Date | null } | null {
  if (now < current.start || now >= current.end || aggregation === 'last') return null;
  // a maximum does not add up, and subjects of one day come again the next
  if (aggregation === 'max' || aggregation === 'unique') return { value: current.value, reachesLimitAt: null };
  const week = recent.slice(-8);
  const first = week[0];
  if (first === undefined) return null;
  const elapsed = now.getTime() - Math.max(first.start.getTime(), current.start.getTime());
  if (elapsed <= 0) return null;
  const rate = week.reduce((sum, { value }) => sum + value, 0) / elapsed;
  const value = Math.max(0, current.value + rate * (current.end.getTime() - now.getTime()));
  if (limit === null || value < limit) return { value, reachesLimitAt: null };
  const left = limit - current.value;
  return { value, reachesLimitAt: left <= 0 ? now : new Date(Math.round(now.getTime() + left / rate)) };
}
