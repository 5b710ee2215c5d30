import { describe, expect, it } from 'vitest';
import { callSiteOf, captureCallSite } from './call-site.ts';
import { FairQueue } from './fair-queue.ts';
import { PreparedStatements } from './prepared.ts';
import { retryAfter } from './retry.ts';
import { countsOf, MissLedger, missOf } from './shadow.ts';
import { TextRegistry } from './texts.ts';

describe('FairQueue', () => {
  it('takes one of each owner in turn', () => {
    const queue = new FairQueue<string>();
    for (const item of ['a1', 'a2', 'a3', 'b1', 'c1', 'b2']) queue.push(item.charAt(0), item);
    const taken = Array.from({ length: 7 }, () => queue.shift());
    expect(taken).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'a3', undefined]);
    expect(queue.size).toBe(0);
  });
});

describe('PreparedStatements', () => {
  it('closes the least recently used', () => {
    const statements = new PreparedStatements(2);
    statements.add('a', 'A');
    statements.add('b', 'B');
    statements.get('a');
    statements.makeRoom();
    statements.add('c', 'C');
    expect([statements.takeClosed(), statements.takeClosed(), statements.size]).toEqual([['b'], [], 2]);
    const again = statements.add('a', 'A2');
    statements.forget({ ...again });
    expect(statements.get('a')).toBe(again);
    statements.clear();
    expect(statements.size).toBe(0);
  });
});

describe('retryAfter', () => {
  const error = (fields: object): Error => Object.assign(new Error('x'), fields);
  it.each([
    [{ code: '26000', phase: 'context' }, 'context'],
    [{ code: '26000' }, 'statement'],
    [{ code: '0A000', routine: 'RevalidateCachedQuery' }, 'statement'],
    [{ code: '0A000', routine: 'DoCopy' }, undefined],
    [{ code: '25001', routine: 'PreventInTransactionBlock' }, 'outside'],
    [{ code: '25001', routine: 'other' }, undefined],
    [{ code: '42P01' }, undefined],
    [{}, undefined],
  ])('%j: %s', (fields, retry) => {
    expect(retryAfter(error(fields), { prefixed: true, named: true })).toBe(retry);
  });
  it('never of a statement that had no name or no context', () => {
    const query = { prefixed: false, named: false };
    expect(retryAfter(error({ code: '26000' }), query)).toBeUndefined();
    expect(retryAfter(error({ code: '0A000', routine: 'RevalidateCachedQuery' }), query)).toBeUndefined();
    expect(retryAfter(error({ code: '25001', routine: 'PreventInTransactionBlock' }), query)).toBeUndefined();
  });
});

describe('TextRegistry', () => {
  it('keeps what is known of a text, and lets old texts go', () => {
    const texts = new TextRegistry();
    const entry = texts.entry('select 1');
    entry.uses = 7;
    for (let i = 0; i < 2_100; i++) texts.entry(`select ${i + 10}`);
    expect(texts.entry('select 1').uses).toBe(7);
    for (let i = 0; i < 4_100; i++) texts.entry(`select ${i + 5_000}`);
    expect(texts.entry('select 1').uses).toBe(0);
    const long = `select '${'x'.repeat(40_000)}'`;
    expect(texts.entry(long)).not.toBe(texts.entry(long));
  });
  it('knows the statements that name a skewed table', () => {
    const texts = new TextRegistry(['public.notes', 'a.b']);
    expect([texts.entry('select * from Notes').skewed, texts.entry('select notes_id from x').skewed]).toEqual([
      true,
      false,
    ]);
  });
});

describe('call sites', () => {
  it('are the first frame of the application', () => {
    expect(callSiteOf(captureCallSite())).toMatch(/^src\/pool\/parts\.test\.ts:\d+:\d+$/);
    const captured = new Error('x');
    captured.stack = `Error: x
    at ask (${new URL('./pool.ts', import.meta.url).pathname}:1:1)
    at run (/app/node_modules/drizzle-orm/x.js:2:2)
    at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
    at <anonymous>
    at async handler (file:///srv/app/orders.ts:41:7)`;
    expect(callSiteOf(captured)).toBe('/srv/app/orders.ts:41:7');
    captured.stack = 'Error: x\n    at x (node:internal:1:1)';
    expect(callSiteOf(captured)).toBeUndefined();
    expect(callSiteOf(undefined)).toBeUndefined();
  });
});

describe('shadow counts', () => {
  it('reads notices and counters', () => {
    expect(missOf({ code: '01T01', message: 'tenantry shadow public.notes r' })).toEqual({
      table: 'public.notes',
      operation: 'r',
    });
    expect(missOf({ code: '01T01', message: 'else' })).toBeUndefined();
    expect(missOf({ code: '00000', message: 'tenantry shadow public.notes r' })).toBeUndefined();
    expect(countsOf(['3', '', null, '1', '0'])).toEqual({ r: 3, i: 0, u: 0, w: 1, d: 0 });
  });
  it('attributes the movement of a counter to the table that was noticed', () => {
    const ledger = new MissLedger();
    const notes = { table: 'public.notes', operation: 'r' };
    const marks = { table: 'public.marks', operation: 'r' };
    expect(ledger.since([notes], undefined, 'a')).toEqual([{ ...notes, rows: undefined }]);
    expect(ledger.since([marks], { r: 5 }, 'b')).toEqual([{ ...marks, rows: 5 }]);
    expect(ledger.since([], { r: 7 }, 'select from marks')).toEqual([{ ...marks, rows: 2 }]);
    expect(ledger.since([], { r: 8 }, 'select from view')).toEqual([{ ...notes, rows: 1 }]);
    expect(ledger.since([], { r: 2 }, 'rolled back')).toEqual([]);
    expect(ledger.since([], { r: 2, d: 1 }, 'nobody said')).toEqual([]);
    expect(ledger.since([notes, marks], { r: 9 }, 'both')).toEqual([
      { ...notes, rows: 7 },
      { ...marks, rows: undefined },
    ]);
  });
});
