import { EventEmitter } from 'node:events';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import {
  bindContext,
  currentContext,
  currentTenant,
  restoreContext,
  runOutsideContext,
  serializeContext,
  tenantIdFrom,
  userIdFrom,
  withSystem,
  withTenant,
  withUser,
} from '../../src/context/index.ts';

const tenantId = '0190a000-0000-7000-8000-00000000000a';
const other = '0190a000-0000-7000-8000-00000000000b';
const userId = '0190a000-0000-7000-8000-000000000001';

describe('D5 context', () => {
  it('is there inside, across awaits, and gone outside', async () => {
    expect(currentContext()).toBeUndefined();
    const inside = await withTenant({ tenantId, userId, tenantKey: '42', workspaceId: other }, async () => {
      await Promise.resolve();
      return currentContext();
    });
    expect(inside).toEqual({ kind: 'tenant', tenantId, userId, tenantKey: '42', workspaceId: other });
    expect(currentContext()).toBeUndefined();
  });

  it('nests, and comes back', async () => {
    await withTenant({ tenantId }, async () => {
      expect(await withTenant({ tenantId: other }, () => currentTenant().tenantId)).toBe(other);
      expect(await withUser({ userId }, () => currentContext())).toEqual({ kind: 'user', userId });
      expect(await withSystem('probe', () => currentContext())).toEqual({ kind: 'system', reason: 'probe' });
      expect(currentTenant().tenantId).toBe(tenantId);
    });
  });

  it('awaits a lazy thenable inside', async () => {
    // oxlint-disable-next-line unicorn/no-thenable -- it is what Drizzle, Knex and Prisma return
    const lazy = { then: (resolve: (value: unknown) => void) => resolve(currentContext()) };
    expect(await withTenant({ tenantId }, () => lazy as PromiseLike<unknown>)).toMatchObject({ tenantId });
  });

  it('keeps requests apart that run at once', async () => {
    const seen = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        withTenant({ tenantId: i % 2 ? tenantId : other }, async () => {
          for (let n = 0; n < 5; n++) await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
          return currentTenant().tenantId === (i % 2 ? tenantId : other);
        }),
      ),
    );
    expect(seen.every(Boolean)).toBe(true);
  });

  it('follows timers and bound listeners; an emitter runs where it is emitted', async () => {
    const emitter = new EventEmitter();
    const heard: unknown[] = [];
    await withTenant({ tenantId }, async () => {
      emitter.on('plain', () => heard.push(currentContext()));
      emitter.on(
        'bound',
        bindContext(() => heard.push(currentContext())),
      );
      await new Promise<void>((resolve) => setTimeout(() => resolve(void heard.push(currentContext())), 1));
    });
    emitter.emit('plain');
    emitter.emit('bound');
    expect(heard).toMatchObject([{ tenantId }, undefined, { tenantId }]);
  });

  it('a stream that is read inside has the context', async () => {
    const seen = await withTenant({ tenantId }, async () => {
      const all: unknown[] = [];
      for await (const chunk of Readable.from(['a', 'b'])) all.push(chunk, currentTenant().tenantId);
      return all;
    });
    expect(seen).toEqual(['a', tenantId, 'b', tenantId]);
  });

  it('is not remembered by what is made outside', async () => {
    await withTenant({ tenantId }, () => expect(runOutsideContext(() => currentContext())).toBeUndefined());
  });

  it('currentTenant says that there is none', async () => {
    expect(() => currentTenant()).toThrow(expect.objectContaining({ code: 'TNT_CONTEXT_MISSING' }));
    await withUser({ userId }, () =>
      expect(() => currentTenant()).toThrow(expect.objectContaining({ code: 'TNT_CONTEXT_MISSING' })),
    );
  });

  it('passes on what fn throws, at once or later', async () => {
    await expect(withTenant({ tenantId }, () => Promise.reject(new Error('later')))).rejects.toThrow('later');
    const now = withTenant({ tenantId }, () => {
      throw new Error('now');
    });
    await expect(now).rejects.toThrow('now');
  });
});

describe('context values are checked', () => {
  it.each([
    [{ tenantId: 'acme' }, 'tenantId'],
    [{ tenantId: '' }, 'tenantId'],
    [{ tenantId: `${tenantId}' or true --` }, 'tenantId'],
    [{ tenantId: undefined }, 'tenantId'],
    [{ tenantId, userId: '7' }, 'userId'],
    [{ tenantId, userId: null }, 'userId'],
    [{ tenantId, tenantKey: '' }, 'tenantKey'],
    [{ tenantId, tenantKey: 'a\0b' }, 'tenantKey'],
    [{ tenantId, tenantKey: 'a\u007fb' }, 'tenantKey'],
    [{ tenantId, tenantKey: 'x'.repeat(256) }, 'tenantKey'],
    [{ tenantId, tenantKey: 42 }, 'tenantKey'],
    [{ tenantId, workspaceId: 'w' }, 'workspaceId'],
    [undefined, 'context'],
    ['acme', 'context'],
  ])('%j names %s', async (input, field) => {
    const refused = withTenant(input as never, () => 1);
    await expect(refused).rejects.toMatchObject({
      code: 'TNT_CONTEXT_INVALID',
      details: { field },
      message: expect.stringContaining(field),
    });
  });

  it('of users and reasons too', async () => {
    await expect(withUser({ userId: 'x' }, () => 1)).rejects.toMatchObject({ code: 'TNT_CONTEXT_INVALID' });
    await expect(withUser(null as never, () => 1)).rejects.toMatchObject({ code: 'TNT_CONTEXT_INVALID' });
    await expect(withSystem(' ', () => 1)).rejects.toMatchObject({
      code: 'TNT_CONTEXT_INVALID',
      details: { field: 'reason' },
    });
    expect(() => userIdFrom('x')).toThrow('userId');
  });

  it('never names the value', async () => {
    const failure = await withTenant({ tenantId: 'top-secret' }, () => 1).catch((error: Error) => error);
    expect(JSON.stringify(failure) + String(failure)).not.toContain('top-secret');
  });

  it('takes ids in capitals as the same', async () => {
    expect(tenantIdFrom(tenantId.toUpperCase())).toBe(tenantId);
    expect(await withTenant({ tenantId: tenantId.toUpperCase() }, () => currentTenant().tenantId)).toBe(tenantId);
  });
});

describe('context in the payload of a job', () => {
  it('goes through JSON and back, every kind', async () => {
    const roundTrip = (): unknown => JSON.parse(JSON.stringify({ context: serializeContext() }));
    for (const enter of [
      <T>(fn: () => T) => withTenant({ tenantId, userId, tenantKey: 'k', workspaceId: other }, fn),
      <T>(fn: () => T) => withTenant({ tenantId }, fn),
      <T>(fn: () => T) => withUser({ userId }, fn),
      <T>(fn: () => T) => withSystem('nightly', fn),
    ]) {
      const before = await enter(() => currentContext());
      const payload = (await enter(roundTrip)) as { context: unknown };
      expect(await restoreContext(payload.context, () => currentContext())).toEqual(before);
    }
  });

  it('refuses a payload that was damaged, and to save what is not there', async () => {
    for (const saved of [
      undefined,
      null,
      'x',
      {},
      { kind: 'tenant' },
      { kind: 'tenant', tenantId: 'x' },
      { kind: 'user' },
      { kind: 'admin' },
      { kind: 'system' },
    ]) {
      await expect(restoreContext(saved, () => 1)).rejects.toMatchObject({ code: 'TNT_CONTEXT_INVALID' });
    }
    expect(() => serializeContext()).toThrow(expect.objectContaining({ code: 'TNT_CONTEXT_MISSING' }));
  });
});
