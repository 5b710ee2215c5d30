/** When a failed attempt is repeated: one delay per repetition, and after the last one the event is given up. Milliseconds. */
export type RetrySchedule = readonly number[];

const [second, minute, hour] = [1_000, 60_000, 3_600_000];

/** For handlers inside the application: about half an hour. */
export const handlerSchedule: RetrySchedule = [
  second,
  5 * second,
  30 * second,
  minute,
  2 * minute,
  5 * minute,
  10 * minute,
  15 * minute,
];

/** For webhooks: what the specification of Standard Webhooks recommends, about three days. */
export const webhookSchedule: RetrySchedule = [
  5 * second,
  5 * minute,
  30 * minute,
  2 * hour,
  5 * hour,
  10 * hour,
  14 * hour,
  20 * hour,
  24 * hour,
];

/**
 * How long to wait after `attempts` failures, with a quarter of jitter to both sides so that those who failed together do
 * not come back together; null when there is no further attempt.
 */
export function retryDelay(
  schedule: RetrySchedule,
  attempts: number,
  atLeastMs = 0,
  random: () => number = Math.random,
): number | null {
  const delay = schedule[attempts - 1];
  if (delay === undefined) return null;
  return Math.round(Math.max(delay * (0.75 + random() / 2), atLeastMs));
}
