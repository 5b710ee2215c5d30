import { TenantryError } from '../../errors.ts';
import { quoted } from '../rate/headers.ts';
import { refusalOf } from '../usage/refusals.ts';
import type { TakeRow } from './queries.ts';
import type { LimitState } from './schema.ts';

/** The limits of a request as callers see them. */
export function statesOf(row: TakeRow): LimitState[] {
  return row.scopes.map(({ periodStart, periodEnd, ...scope }) => ({
    ...scope,
    remaining: scope.limit === null ? null : Math.max(0, scope.limit - scope.used - scope.reserved),
    periodStart: new Date(periodStart),
    periodEnd: new Date(periodEnd),
  }));
}

/** `RateLimit-Policy` and `RateLimit` of quotas, and `Retry-After` when one refused (draft-ietf-httpapi-ratelimit-headers-10). */
export function limitHeaders(
  metric: string,
  states: readonly LimitState[],
  now: Date,
  refusedBy?: LimitState,
): Record<string, string> {
  const counted = states.filter(({ limit }) => limit !== null);
  if (counted.length === 0) return {};
  const seconds = (from: Date, to: Date): number => Math.max(1, Math.ceil((to.getTime() - from.getTime()) / 1000));
  const name = ({ scope, period }: LimitState): string => quoted(`${metric};${scope};${period}`);
  return {
    'RateLimit-Policy': counted
      .map(
        (s) => `${name(s)};q=${Math.floor(s.limit ?? 0)};w=${seconds(s.periodStart, s.periodEnd)};qu=${quoted(metric)}`,
      )
      .join(', '),
    RateLimit: counted
      .map((s) => `${name(s)};r=${Math.floor(s.remaining ?? 0)};t=${seconds(now, s.periodEnd)}`)
      .join(', '),
    ...(refusedBy === undefined ? {} : { 'Retry-After': String(seconds(now, refusedBy.periodEnd)) }),
  };
}

/** The hard limit that refused: of several the one whose period ends last. */
export function refusing(states: readonly LimitState[], quantity: number): LimitState | undefined {
  return states
    .filter(({ hard, remaining }) => hard && remaining !== null && remaining < quantity)
    .sort((a, b) => b.periodEnd.getTime() - a.periodEnd.getTime())[0];
}

const owners = { organization: 'organization', namespace: 'namespace', api_key: 'key', end_user: 'end user' } as const;

/** The error of a refused request. */
export function exceeded(metric: string, quantity: number, states: readonly LimitState[], now: Date): TenantryError {
  const limit = refusing(states, quantity);
  const headers = limitHeaders(metric, states, now, limit);
  const whose = limit === undefined ? 'a' : limit.source === 'plan' ? 'the plan’s' : `the ${owners[limit.scope]}’s`;
  const what = limit === undefined ? '' : ` of ${limit.limit} per ${limit.period}; ${limit.remaining} left`;
  return new TenantryError('TNT_LIMIT_EXCEEDED', `${metric}: ${quantity} more would pass ${whose} limit${what}.`, {
    details: {
      metric,
      quantity,
      ...(limit === undefined ? {} : { limit, retryAfter: Number(headers['Retry-After']) }),
      limits: states,
      headers,
    },
  });
}

/** What was wrong with a request before any limit was looked at, or with the event that it recorded. */
export function refusalOfRequest(answer: string, metric: string): TenantryError {
  switch (answer) {
    case 'i':
      return new TenantryError('TNT_NAMESPACE_INACTIVE', 'namespaceId: the namespace takes nothing new.');
    case 'e':
      return new TenantryError('TNT_NOT_FOUND', 'endUserId: the organization has no such end user.');
    case 'x':
      return new TenantryError('TNT_CONFLICT', 'eventId: another event of this organization has this id.', {
        hint: 'Choose an id that names what happened.',
      });
    default:
      return refusalOf(answer, { metric });
  }
}
