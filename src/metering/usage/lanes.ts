import type { UsageEvent } from './schema.ts';

/** A quarter of an hour: every time zone's midnight falls on the edge of one. */
const quarter = 900_000;

/** An event with everything that the context adds to it. */
export interface PlacedEvent {
  readonly tenantId: string;
  readonly namespaceId: string | undefined;
  readonly apiKeyId: string | undefined;
  readonly metric: string;
  readonly id: string;
  readonly quantity: number | string | undefined;
  readonly subject: string | undefined;
  /** Quarters of an hour since 1970. */
  readonly slot: number;
  /** Milliseconds into the quarter. */
  readonly offset: number;
}

/** The arguments of tenantry.count_usage, as text that PostgreSQL reads. */
export type CountArguments = [
  tenants: string,
  namespaces: string,
  keys: string,
  metrics: string,
  slots: string,
  lanes: string,
  ids: string,
  offsets: string,
  quantities: string | null,
  subjects: (string | null)[] | null,
];

export function placeEvent(
  context: { tenantId: string; namespaceId?: string; apiKeyId?: string; endUserId?: string },
  { id, metric, quantity, namespaceId, apiKeyId, subject, occurredAt }: UsageEvent,
  now: number,
): PlacedEvent {
  const at = occurredAt === undefined ? now : occurredAt.getTime();
  const slot = Math.floor(at / quarter);
  return {
    tenantId: context.tenantId,
    namespaceId: namespaceId ?? context.namespaceId,
    apiKeyId: apiKeyId ?? context.apiKeyId,
    metric,
    id,
    quantity,
    subject: subject ?? context.endUserId,
    slot,
    offset: at - slot * quarter,
  };
}

/**
 * What events share is sent once (a lane), so that the server checks and reads it once. Ids and metrics have been validated:
 * no line break, no character that an array literal would have to quote.
 */
export function countArguments(events: readonly PlacedEvent[]): CountArguments {
  const laneOf = new Map<string, number>();
  const tenants: string[] = [];
  const namespaces: string[] = [];
  const keys: string[] = [];
  const metrics: string[] = [];
  const slots: number[] = [];
  const lanes: number[] = [];
  const ids: string[] = [];
  const offsets: number[] = [];
  let plain = true;
  let named = false;
  let last: PlacedEvent | undefined;
  let lane = 0;
  for (const event of events) {
    // those of one request come one after the other
    if (last === undefined || !shareLane(event, last)) {
      const key = `${event.tenantId}${event.metric} ${event.slot}${event.namespaceId ?? ''}:${event.apiKeyId ?? ''}`;
      lane = laneOf.get(key) ?? 0;
      if (lane === 0) {
        lane = tenants.push(event.tenantId);
        namespaces.push(event.namespaceId ?? 'null');
        keys.push(event.apiKeyId ?? 'null');
        metrics.push(event.metric);
        slots.push(event.slot);
        laneOf.set(key, lane);
      }
      last = event;
    }
    lanes.push(lane);
    ids.push(event.id);
    offsets.push(event.offset);
    plain &&= event.quantity === undefined;
    named ||= event.subject !== undefined;
  }
  return [
    `{${tenants.join()}}`,
    `{${namespaces.join()}}`,
    `{${keys.join()}}`,
    `{${metrics.join()}}`,
    `{${slots.join()}}`,
    `{${lanes.join()}}`,
    ids.join('\n'),
    `{${offsets.join()}}`,
    plain ? null : `{${events.map(({ quantity }) => quantity ?? 1).join()}}`,
    named ? events.map(({ subject }) => subject ?? null) : null,
  ];
}

const shareLane = (a: PlacedEvent, b: PlacedEvent): boolean =>
  a.tenantId === b.tenantId &&
  a.metric === b.metric &&
  a.slot === b.slot &&
  a.namespaceId === b.namespaceId &&
  a.apiKeyId === b.apiKeyId;
