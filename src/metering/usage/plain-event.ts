import type { UsageEvent } from './schema.ts';

const plainText = /^[\x21-\x7e]{1,255}$/;
const metric = /^[a-z][a-z0-9_.-]{0,62}$/;
const fields = new Set(['id', 'metric', 'quantity', 'namespaceId', 'occurredAt']);
const guid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/**
 * Whether an event is of the usual kind and plainly right, in a tenth of the time that the schema takes. What is not goes to
 * the schema, which decides and says what is wrong; a test holds that nothing passes here that would not pass there.
 */
export function isPlainEvent(event: UsageEvent): boolean {
  if (typeof event !== 'object' || event === null || Object.getPrototypeOf(event) !== Object.prototype) return false;
  for (const field in event) if (!fields.has(field)) return false;
  const { id, quantity, namespaceId, occurredAt } = event;
  return (
    typeof id === 'string' &&
    plainText.test(id) &&
    typeof event.metric === 'string' &&
    metric.test(event.metric) &&
    (quantity === undefined || (typeof quantity === 'number' && quantity > -1e15 && quantity < 1e15)) &&
    (namespaceId === undefined || (typeof namespaceId === 'string' && guid.test(namespaceId))) &&
    (occurredAt === undefined || (occurredAt instanceof Date && !Number.isNaN(occurredAt.getTime())))
  );
}
