import { currentTenant, withSystem } from '../../context/context.ts';
import { sqlStateOf } from '../../database/database-error.ts';
import type { Kernel } from '../../database/kernel.ts';
import { parseInput } from '../../directory/input.ts';
import { write } from '../../directory/write-error.ts';
import { TenantryError } from '../../errors.ts';
import { exportLines, ledgerPages } from './export.ts';
import { type CountArguments, countArguments, type PlacedEvent, placeEvent } from './lanes.ts';
import { isPlainEvent } from './plain-event.ts';
import { correctUsage, countUsage, openUsage } from './queries.ts';
import {
  deleteAlertLevels,
  listAlerts,
  listMetrics,
  type Metric,
  type UsageAlert,
  upsertAlertLevels,
} from './read-queries.ts';
import { createRecorder, type UsageOptions } from './recorder.ts';
import { refusalOf } from './refusals.ts';
import {
  alertLevels,
  exportQuery,
  metricName,
  type StatisticsQuery,
  statisticsQuery,
  type UsageAmendment,
  type UsageExportQuery,
  type UsageEvent,
  type UsageOutcome,
  type UsageRetraction,
  usageAmendment,
  usageEvent,
  usageRetraction,
} from './schema.ts';
import { type UsageStatistics, usageStatistics } from './statistics.ts';

export interface Usage {
  /**
   * Counts an event for the organization of the context, once per `id` for ever. Resolves after the commit. Calls that
   * come at the same time, also of different organizations, share one transaction. With `on`, inside the caller's own
   * transaction: it then stands or falls with it.
   *
   * @returns `counted`, or `duplicate` when the same event was counted before
   * @throws TNT_INPUT_INVALID, TNT_CONTEXT_MISSING, TNT_METRIC_UNKNOWN, TNT_NOT_FOUND for a namespace or key,
   * TNT_CONFLICT when another event has the id, TNT_USAGE_OVERLOADED, TNT_USAGE_CLOSED, TNT_USAGE_UNCERTAIN: send it again
   */
  record(event: UsageEvent, on?: Kernel): Promise<UsageOutcome>;
  /**
   * Corrects the quantity of an event. The event stays; the difference is written beside it, counted in the period of the
   * event, and becomes a line of the next bill where that period was billed already. Takes usage.write, or a context
   * without user, key and end user: your own code.
   *
   * @returns `duplicate` when this correction was made before
   * @throws TNT_INPUT_INVALID, TNT_FORBIDDEN, TNT_NOT_FOUND, TNT_CONFLICT when the event was retracted or the id is taken
   */
  amend(amendment: UsageAmendment, on?: Kernel): Promise<UsageOutcome>;
  /**
   * Takes an event back, as `amend` to nothing; it is counted as an event no more.
   *
   * @throws as amend
   */
  retract(retraction: UsageRetraction, on?: Kernel): Promise<UsageOutcome>;
  /**
   * What the organization of the context, or one of its namespaces, has used: now, before, by day, by namespace, of its
   * limit, and what it will come to. Takes usage.read, or a context without a user.
   *
   * @throws TNT_INPUT_INVALID, TNT_METRIC_UNKNOWN
   */
  statistics(query: StatisticsQuery): Promise<UsageStatistics>;
  /** What is counted. */
  metrics(): Promise<Metric[]>;
  /** The newest first, at most 200. */
  alerts(limit?: number): Promise<UsageAlert[]>;
  /**
   * At how many per cent of its limit the organization is told, instead of the metric's own levels; also above 100.
   * Null: as the metric says. Takes usage.write.
   *
   * @throws TNT_INPUT_INVALID, TNT_FORBIDDEN, TNT_NOT_FOUND for an unknown metric
   */
  setAlertLevels(metric: string, levels: readonly number[] | null): Promise<void>;
  /**
   * The ledger as text, page by page from one snapshot: JSON Lines or CSV, by the time of occurrence.
   *
   * @throws TNT_INPUT_INVALID
   * @example
   * ```ts
   * for await (const text of t.usage.export({ from, to, format: 'csv' })) response.write(text);
   * ```
   */
  export(query: UsageExportQuery): AsyncGenerator<string>;
  /** Resolves when what was recorded before is committed or refused. */
  flush(): Promise<void>;
  /** Refuses what comes, and resolves when what came is committed or refused. */
  close(): Promise<void>;
  /** Events that wait to be committed. */
  readonly pending: number;
}

export function createUsage(kernel: Kernel, options: UsageOptions = {}): Usage {
  const recorder = createRecorder(
    (events, fresh) => withSystem('usage', () => count(kernel, countArguments(events), fresh)),
    options,
  );
  async function correct(
    input: { id: string; eventId: string; quantity: number | string | null; reason: string },
    on: Kernel,
  ): Promise<UsageOutcome> {
    currentTenant();
    switch (await correctUsage(on, input).catch(forbidden)) {
      case 'c':
        return 'counted';
      case 'd':
        return 'duplicate';
      case 'u':
        throw new TenantryError('TNT_NOT_FOUND', 'eventId: the organization has no such event.');
      case 'r':
        throw new TenantryError('TNT_CONFLICT', 'eventId: the event was retracted before.', {
          hint: 'Record a new event instead.',
        });
      default:
        throw new TenantryError('TNT_CONFLICT', 'id: another event or correction has this id.', {
          hint: 'Choose an id of its own.',
        });
    }
  }
  return {
    // not an async function: each promise more would cost every event
    record(event, on) {
      try {
        const placed = placeOwn(event);
        return on === undefined ? recorder.add(placed) : recordOn(on, placed);
      } catch (error) {
        return Promise.reject(error);
      }
    },
    async amend(amendment, on = kernel) {
      return correct(parseInput(usageAmendment, amendment), on);
    },
    async retract(retraction, on = kernel) {
      return correct({ ...parseInput(usageRetraction, retraction), quantity: null }, on);
    },
    async statistics(query) {
      const { tenantId } = currentTenant();
      const values = parseInput(statisticsQuery, query);
      return kernel.transaction((tx) => usageStatistics(tx, tenantId, values));
    },
    metrics: () => listMetrics(kernel),
    alerts: (limit = 50) => listAlerts(kernel, currentTenant().tenantId, Math.min(200, Math.max(1, Math.trunc(limit)))),
    async setAlertLevels(metric, levels) {
      const { tenantId } = currentTenant();
      const name = parseInput(metricName, metric);
      const chosen = levels === null ? null : parseInput(alertLevels, levels);
      await write('alert levels', 'update', () =>
        chosen === null ? deleteAlertLevels(kernel, tenantId, name) : upsertAlertLevels(kernel, tenantId, name, chosen),
      );
    },
    export(query) {
      const { tenantId } = currentTenant();
      const { format, ...range } = parseInput(exportQuery, query);
      return exportLines(ledgerPages(kernel, tenantId, range), format);
    },
    flush: recorder.flush,
    close: recorder.close,
    get pending() {
      return recorder.pending;
    },
  };
}

function forbidden(error: unknown): never {
  if (sqlStateOf(error) !== '42501') throw error;
  throw new TenantryError('TNT_FORBIDDEN', 'Correcting usage takes the permission usage.write.', {
    details: { permission: 'usage.write' },
    cause: error,
  });
}

/** @throws TNT_CONTEXT_MISSING, TNT_INPUT_INVALID, TNT_FORBIDDEN */
function placeOwn(event: UsageEvent): PlacedEvent {
  const context = currentTenant();
  const values = isPlainEvent(event) ? event : parseInput(usageEvent, event);
  assertOwn('namespaceId', context.namespaceId, values.namespaceId);
  assertOwn('apiKeyId', context.apiKeyId, values.apiKeyId);
  return placeEvent(context, values, Date.now());
}

async function recordOn(on: Kernel, placed: PlacedEvent): Promise<UsageOutcome> {
  const letter = (await count(on, countArguments([placed]), true)) || 'c';
  if (letter === 'c') return 'counted';
  if (letter === 'd') return 'duplicate';
  throw refusalOf(letter, placed);
}

/** A request that is confined to a namespace, or made by a key, uses nothing in another's name. */
function assertOwn(field: string, own: string | undefined, named: string | undefined): void {
  if (own === undefined || named === undefined || own.toLowerCase() === named.toLowerCase()) return;
  throw new TenantryError('TNT_FORBIDDEN', `${field}: the context is confined to another.`, {
    hint: `Leave ${field} out: it is the context's.`,
  });
}

async function count(kernel: Kernel, batch: CountArguments, fresh: boolean): Promise<string> {
  for (let midnights = 0; ; midnights += 1) {
    const answer = await countUsage(kernel, batch, fresh);
    if (answer !== '!') return answer;
    if (midnights > 2) throw new TenantryError('TNT_INTERNAL', 'An account of usage cannot be opened.');
    await openUsage(kernel, batch[0]);
  }
}
