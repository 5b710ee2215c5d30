import { describe, expect, it } from 'vitest';
import { currentContext } from '../../src/context/index.ts';
import type { OutboxEvent } from '../../src/outbox/index.ts';
import { newOrganization } from '../directory/fixture.ts';
import { outboxFixture } from './fixture.ts';
import { until } from './receiver.ts';

const f = outboxFixture();
const emit = (topic: string, payload: Record<string, unknown> = {}): Promise<string> =>
  f.t.outbox.emit({ topic, payload });

describe('dispatcher: handlers', () => {
  it('get events of their topics in order, with the context that caused them', async () => {
    const a = await newOrganization(f);
    const got: [OutboxEvent, unknown][] = [];
    await f.dispatch({
      consumers: { log: { topics: ['a.*', 'b.one'], handle: (event) => got.push([event, currentContext()]) } },
    });
    await a.asAdmin(async () => {
      for (const topic of ['a.one', 'b.two', 'b.one', 'a.two', 'ab.one']) await emit(topic, { topic });
    });
    await until('three events', () => got.length >= 3);
    expect(got.map(([{ topic, seq }]) => [topic, seq])).toEqual([
      ['a.one', 1],
      ['b.one', 3],
      ['a.two', 4],
    ]);
    expect(got[0]).toEqual([
      expect.objectContaining({ tenantId: a.tenantId, payload: { topic: 'a.one' }, userId: a.adminId }),
      expect.objectContaining({ tenantId: a.tenantId, userId: a.adminId }),
    ]);
  });

  it('that fail are repeated in their place, given up at last, and block nobody else', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const got: string[] = [];
    await f.dispatch({
      consumers: {
        poison: {
          topics: ['p.*'],
          handle: ({ topic, tenantId }) => {
            got.push(`${tenantId === a.tenantId ? 'a' : 'b'} ${topic}`);
            if (topic === 'p.bad') throw new Error('no');
          },
        },
      },
    });
    await a.asAdmin(async () => {
      await emit('p.bad');
      await emit('p.after');
    });
    await b.asAdmin(() => emit('p.good'));
    await until('the one after', () => got.includes('a p.after'));
    expect(got.filter((one) => one.startsWith('a'))).toEqual(['a p.bad', 'a p.bad', 'a p.bad', 'a p.after']);
    expect(got).toContain('b p.good');
    const [dead] = await f.db.query(
      `select d.state, d.attempts, (select array_agg(x.error) from tenantry.outbox_attempts x where x.delivery_id = d.id) as errors
       from tenantry.outbox_deliveries d where d.tenant_id = $1`,
      [a.tenantId],
    );
    expect(dead).toEqual({ state: 'dead', attempts: 3, errors: ['no', 'no', 'no'] });
  });
});
