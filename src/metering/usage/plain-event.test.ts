import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPlainEvent } from './plain-event.ts';
import { type UsageEvent, usageEvent } from './schema.ts';

const odd = fc.oneof(
  fc.string(),
  fc.double(),
  fc.constant(null),
  fc.constant(undefined),
  fc.constant(''),
  fc.constant('a\nb'),
  fc.date({ noInvalidDate: false }),
  fc.object(),
);

describe('isPlainEvent', () => {
  it('lets the usual events through', () => {
    expect(isPlainEvent({ id: 'a', metric: 'api_calls' })).toBe(true);
    expect(
      isPlainEvent({
        id: 'a',
        metric: 'api_calls',
        quantity: -2.5,
        occurredAt: new Date(),
        namespaceId: '0198c7a0-0000-7000-8000-000000000001',
      }),
    ).toBe(true);
  });
  it('lets nothing through that the schema refuses', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            id: fc.oneof(fc.string({ minLength: 1 }), odd),
            metric: fc.oneof(fc.constant('emails'), odd),
            quantity: fc.oneof(fc.double(), fc.integer(), odd),
            namespaceId: fc.oneof(fc.uuid(), odd),
            occurredAt: fc.oneof(fc.date(), odd),
            subject: odd,
            other: odd,
          },
          { requiredKeys: [] },
        ),
        (event) => {
          if (isPlainEvent(event as UsageEvent)) expect(usageEvent.safeParse(event).success).toBe(true);
        },
      ),
      { numRuns: 2000 },
    );
  });
});
