import pg from 'pg';
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

  it('that hang are given up for this time, and one process takes over what another holds no longer', async () => {
    const a = await newOrganization(f);
    let runs = 0;
    const hang = {
      topics: ['h.*'],
      handle: (_: OutboxEvent, signal: AbortSignal) => {
        runs += 1;
        return runs === 1
          ? new Promise((done) => {
              signal.addEventListener('abort', done);
            })
          : undefined;
      },
    };
    const errors: string[] = [];
    await f.dispatch({
      consumers: { hang },
      handlerTimeoutMs: 100,
      onError: (error) => errors.push((error as Error).message),
    });
    await a.asAdmin(() => emit('h.one'));
    await until('the second run', () => runs === 2);
    expect(errors).toEqual(['not done within 100 ms']);
    // a lease of a process that is gone
    await f.db.query(
      `update tenantry.outbox_queues set position = 0, lease = gen_random_uuid(), due_at = now() + interval '300 ms' where tenant_id = $1`,
      [a.tenantId],
    );
    await until('taken over', () => runs === 3);
  });

  it('of six dispatchers at once each get every event once when nothing fails, in order', async () => {
    const organizations = await Promise.all(Array.from({ length: 3 }, () => newOrganization(f)));
    const got: [string, number][] = [];
    const consumers = {
      many: { topics: ['m.*'], handle: ({ tenantId, seq }: OutboxEvent) => got.push([tenantId, seq]) },
    };
    for (let i = 0; i < 6; i += 1) await f.dispatch({ consumers, concurrency: 2, perTenant: 1, leaseMs: 10_000 });
    await Promise.all(
      organizations.map((one) =>
        one.asAdmin(async () => {
          for (let i = 0; i < 20; i += 1) await emit('m.one');
        }),
      ),
    );
    await until('sixty', () => got.length >= 60);
    for (const { tenantId } of organizations) {
      expect(got.filter(([id]) => id === tenantId).map(([, seq]) => seq)).toEqual(
        Array.from({ length: 20 }, (_, i) => i + 1),
      );
    }
  });

  it('go on after the database ended every connection', async () => {
    const a = await newOrganization(f);
    const got: number[] = [];
    await f.dispatch({ consumers: { cut: { topics: ['c.*'], handle: ({ seq }) => got.push(seq) } } });
    await a.asAdmin(() => emit('c.one'));
    await until('one', () => got.length === 1);
    const superuser = new pg.Client({ connectionString: f.db.superuserUrl });
    await superuser.connect();
    await superuser.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'Tenantry_Test_App' and datname = current_database()`,
    );
    await superuser.end();
    await until('emitted', () => a.asAdmin(() => emit('c.two')).catch(() => false as const));
    await until('two', () => got.includes(2));
  });

  it('of old events nothing is kept that everybody has read, and everything that somebody has not', async () => {
    const a = await newOrganization(f);
    await f.dispatch({ consumers: { old: { topics: ['o.*'], handle: () => undefined } } });
    await a.asAdmin(() => emit('o.one'));
    const position = async (): Promise<boolean> =>
      (
        await f.db.query(
          `select 1 from tenantry.outbox_queues where tenant_id = $1 and position = 1 and lease is null`,
          [a.tenantId],
        )
      ).length === 1;
    await until('read', position);
    await f.db.query(`update tenantry.outbox set occurred_at = now() - interval '40 days' where tenant_id = $1`, [
      a.tenantId,
    ]);
    await f.db.query(`update tenantry.outbox_queues set position = 0 where tenant_id = $1`, [a.tenantId]);
    await f.t.outbox.prune({ days: 30 });
    expect(await f.db.query('select 1 from tenantry.outbox where tenant_id = $1', [a.tenantId])).toHaveLength(1);
    await f.db.query(`update tenantry.outbox_queues set position = 1 where tenant_id = $1`, [a.tenantId]);
    expect(await f.t.outbox.prune({ days: 30 })).toBeGreaterThan(0);
    expect(await f.db.query('select 1 from tenantry.outbox where tenant_id = $1', [a.tenantId])).toEqual([]);
  });

  it('are named and filtered by what is allowed', async () => {
    for (const topics of [[], ['A'], ['a.*.b'], ['.a']])
      await expect(f.dispatch({ consumers: { x: { topics, handle: () => undefined } } })).rejects.toMatchObject({
        code: 'TNT_INPUT_INVALID',
      });
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      for (const topic of ['one', 'A.b', 'a..b', 'a.b '])
        await expect(emit(topic)).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    });
  });
});
