import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { forecast } from './forecast.ts';
import {
  selectEdges,
  selectLimit,
  selectMetric,
  selectSeries,
  selectTopNamespaces,
  selectValue,
} from './read-queries.ts';
import type { Aggregation, UsagePeriod } from './schema.ts';

export interface UsageSpan {
  /** The first instant of the period. */
  readonly start: Date;
  /** The first instant after it. */
  readonly end: Date;
  readonly value: number;
  readonly events: number;
}

/** What an organization or a namespace has used of a metric. Quantities are numbers: for display, not for bills. */
export interface UsageStatistics {
  readonly metric: string;
  readonly title: string;
  readonly unit: string;
  readonly aggregation: Aggregation;
  readonly period: UsagePeriod;
  readonly timeZone: string;
  readonly current: UsageSpan;
  readonly previous: UsageSpan;
  /** Per cent that the current period is over (+) or under (−) the previous one; null when that was nothing. */
  readonly change: number | null;
  /** Each day of the current period that has begun, also those without usage. */
  readonly days: readonly UsageSpan[];
  /** The namespaces that used most in the period. Empty for the statistics of a namespace. */
  readonly namespaces: readonly {
    readonly id: string;
    readonly name: string | null;
    readonly value: number;
    readonly events: number;
  }[];
  /** The organization's limit for such a period; null: none. */
  readonly limit: {
    /** Null: unlimited. */
    readonly quantity: number | null;
    readonly hard: boolean;
    /** Per cent of the limit. */
    readonly used: number | null;
    readonly remaining: number | null;
    /** What goes beyond it. */
    readonly overage: number;
  } | null;
  /** What the period will come to if it goes on as in the last seven days; null when it is over, or cannot be told (last). */
  readonly forecast: { readonly value: number; readonly reachesLimitAt: Date | null } | null;
}

export async function usageStatistics(
  kernel: Kernel,
  tenantId: string,
  query: { metric: string; period: UsagePeriod; at?: Date | undefined; namespaceId?: string | undefined; top: number },
): Promise<UsageStatistics> {
  const metric = await selectMetric(kernel, query.metric);
  if (metric === null) {
    throw new TenantryError('TNT_METRIC_UNKNOWN', `metric: there is no metric "${query.metric}".`, {
      details: { metric: query.metric },
    });
  }
  const { period } = query;
  const edges = await selectEdges(kernel, tenantId, period, query.at);
  const span = async (start: Date, end: Date): Promise<UsageSpan> => ({
    start,
    end,
    ...(await selectValue(kernel, tenantId, query.namespaceId, metric.name, period, start)),
  });
  const current = await span(edges.start, edges.end);
  const previous = await span(edges.previousStart, edges.start);
  const days = await selectSeries(kernel, tenantId, query.namespaceId, metric.name, edges.start, edges.end, edges.now);
  const recent = await selectSeries(
    kernel,
    tenantId,
    query.namespaceId,
    metric.name,
    new Date(Math.max(edges.start.getTime(), edges.now.getTime() - 8 * 86_400_000)),
    edges.end,
    edges.now,
  );
  const found = query.namespaceId === undefined ? await selectLimit(kernel, metric.name, period) : undefined;
  const quantity = found?.quantity ?? null;
  return {
    metric: metric.name,
    title: metric.title,
    unit: metric.unit,
    aggregation: metric.aggregation,
    period,
    timeZone: edges.timeZone,
    current,
    previous,
    change: previous.value === 0 ? null : ((current.value - previous.value) / previous.value) * 100,
    days,
    namespaces:
      query.namespaceId === undefined && query.top > 0
        ? await selectTopNamespaces(kernel, tenantId, metric.name, period, edges.start, query.top)
        : [],
    limit:
      found === undefined
        ? null
        : {
            quantity,
            hard: found.hard,
            used: quantity === null || quantity === 0 ? null : (current.value / quantity) * 100,
            remaining: quantity === null ? null : Math.max(0, quantity - current.value),
            overage: quantity === null ? 0 : Math.max(0, current.value - quantity),
          },
    forecast: forecast({ aggregation: metric.aggregation, current, recent, now: edges.now, limit: quantity }),
  };
}
