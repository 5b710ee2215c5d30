import { z } from 'zod';
import { pageFields } from '../directory/page.ts';

/** `feature.happened`: lower-case words joined by dots. */
export const topicSchema = z
  .string()
  .max(255)
  .regex(/^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$/, {
    error: 'must be lower-case words joined by dots, as invoice.paid',
  });

/** A topic, `*`, or everything under a prefix: `invoice.*`. */
const topicFilter = z
  .string()
  .max(255)
  .regex(/^(\*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*(\.\*)?)$/, {
    error: 'must be *, a topic, or a prefix as invoice.*',
  });
export const topicFilters = z.array(topicFilter).min(1).max(100);

export const eventCreate = z.strictObject({
  topic: topicSchema,
  /** What a reader needs to know, as JSON. Never a secret. */
  payload: z.record(z.string(), z.unknown()).default({}),
  /** Two events of an organization with the same key are one. */
  key: z.string().min(1).max(255).optional(),
});
export type EventCreate = z.input<typeof eventCreate>;

/** An event as a handler gets it. */
export interface OutboxEvent {
  readonly tenantId: string;
  /** The same however often it is delivered. */
  readonly id: string;
  /** The organization's own order, from 1 and without gaps: that in which transactions committed. */
  readonly seq: number;
  readonly topic: string;
  readonly payload: Record<string, unknown>;
  /** Who did it; null for a job. */
  readonly userId: string | null;
  readonly occurredAt: Date;
}

export const endpointCreate = z.strictObject({
  url: z.string().min(1).max(2048),
  /** Which topics are sent. Defaults to all. */
  topics: topicFilters.default(['*']),
  description: z.string().max(1000).optional(),
  /** A secret of one's own: `whsec_` and 24 to 64 bytes in base64. Made when absent. */
  secret: z.string().max(200).optional(),
});
export const endpointUpdate = z.strictObject({
  url: z.string().min(1).max(2048).optional(),
  topics: topicFilters.optional(),
  description: z.string().max(1000).nullable().optional(),
  /** An endpoint that is enabled again goes on where it stood. */
  status: z.enum(['enabled', 'disabled']).optional(),
});
export const secretRotate = z.strictObject({
  /** How long the old secret signs beside the new one. Hours, 0 to 720; defaults to 24. */
  overlapHours: z.number().min(0).max(720).default(24),
  secret: z.string().max(200).optional(),
});
export const replaySchema = z.union([
  z.strictObject({ eventId: z.guid() }),
  z.strictObject({ since: z.date() }),
  z.strictObject({ all: z.literal(true) }),
]);
export const endpointList = z.strictObject(pageFields);
export const deliveryList = z.strictObject({
  ...pageFields,
  endpointId: z.guid().optional(),
  state: z.enum(['retrying', 'delivered', 'dead', 'replay']).optional(),
});

export type EndpointCreate = z.input<typeof endpointCreate>;
export type EndpointUpdate = z.input<typeof endpointUpdate>;
export type SecretRotate = z.input<typeof secretRotate>;
export type Replay = z.input<typeof replaySchema>;
export type DeliveryListOptions = z.input<typeof deliveryList>;

/** A URL of an organization that is told of its events. */
export interface WebhookEndpoint {
  readonly tenantId: string;
  readonly id: string;
  readonly url: string;
  readonly topics: string[];
  readonly description: string | null;
  readonly status: 'enabled' | 'disabled';
  readonly disabledReason: string | null;
  /** Since when no delivery succeeded; null when the last one did. */
  readonly failingSince: Date | null;
  /** Until when the old secret signs as well. */
  readonly oldSecretUntil: Date | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** What became of one event at one endpoint. */
export interface WebhookDelivery {
  readonly tenantId: string;
  readonly id: string;
  readonly endpointId: string;
  readonly eventId: string;
  readonly topic: string;
  readonly seq: number;
  /** dead: given up. replay: asked for once more and not done yet. */
  readonly state: 'retrying' | 'delivered' | 'dead' | 'replay';
  readonly attempts: number;
  readonly retryAt: Date | null;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** One attempt of the delivery log. */
export interface WebhookAttempt {
  readonly id: string;
  readonly at: Date;
  readonly outcome: 'delivered' | 'failed';
  /** HTTP status; null when there was no answer. */
  readonly status: number | null;
  readonly error: string | null;
  readonly durationMs: number;
  /** The first 1,024 characters of the answer. */
  readonly response: string | null;
}
