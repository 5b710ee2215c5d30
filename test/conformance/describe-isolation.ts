import { EventEmitter } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { currentContext, withTenant } from '../../src/context/index.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { startChaos } from './chaos.ts';
import type { ExemptCase, IsolationDriver, NoteOperations, NoteSession } from './driver.ts';
import { codesOf, failure } from './errors.ts';
import { createNotes, type Note, newNote, type Tenant } from './notes.ts';

const tenantCount = 50;
const requestCount = 200;
const connections = 4;
/** Of all requests together: far more than the strikes can cause. */
const maxFailures = 5_000;

/** The one suite that every driver and ORM passes. */
export function describeIsolation(driver: IsolationDriver): void {
  describe(`D5 isolation through ${driver.name}`, () => {
    let database: TestDatabase;
    let pool: TenantPool;
    let session: NoteSession;
    let tenants: Tenant[];
    let a: Tenant;
    let b: Tenant;

    const as = <T>({ tenantId }: Tenant, fn: () => T | PromiseLike<T>): Promise<T> => withTenant({ tenantId }, fn);
    /** A case the driver may be exempt from: then the reason stands in the report. */
    const unlessExempt = (name: ExemptCase): typeof it.skip =>
      driver.exempt?.[name] === undefined ? it : (it.skip as typeof it);
    const reason = (name: ExemptCase): string =>
      driver.exempt?.[name] === undefined ? '' : ` (exempt: ${driver.exempt[name]})`;

    beforeAll(async () => {
      database = await createTestDatabase();
      tenants = await createNotes(database, tenantCount);
      [a, b] = tenants as [Tenant, Tenant];
      pool = createPool({ connectionString: database.appUrl, max: connections, ...driver.pool });
      pool.on('error', () => {}); // backends are ended on purpose
      session = await driver.open(pool);
    });
    afterAll(async () => {
      await session?.teardown();
      await pool?.end();
      await database?.drop();
    });

    const ids = (notes: readonly Note[]): string[] => notes.map(({ id }) => id).sort();
    const ownIds = ({ noteIds }: Tenant): string[] => [...noteIds].sort();
    /** Both tenants see what they had, each its own: nothing bled, nothing was left. */
    const expectUntouched = async (): Promise<void> => {
      for (const tenant of [a, b]) expect(ids(await as(tenant, () => session.readAll()))).toEqual(ownIds(tenant));
    };

    it('reads the rows of the tenant and no others', async () => {
      await expectUntouched();
      expect(await as(a, () => session.raw('select 1 as one'))).toHaveLength(1);
    });

    it('joins within the tenant', async () => {
      const rows = await as(a, () => session.join());
      expect(rows).toHaveLength(a.noteIds.length);
      for (const row of rows) expect(row).toMatchObject({ tenantId: a.tenantId, title: `Notebook of ${a.tenantId}` });
    });

    it('writes, changes and removes rows of the tenant', async () => {
      const note = newNote(a);
      await as(a, async () => {
        await session.insert(note);
        expect(await session.update(note.id, 'changed')).toBe(1);
        expect(await session.readById(note.id)).toMatchObject({ id: note.id, tenantId: a.tenantId, body: 'changed' });
        expect(await session.remove(note.id)).toBe(1);
        expect(await session.readById(note.id)).toBeUndefined();
      });
      await expectUntouched();
    });

    it('finds nothing under the key of a foreign row', async () => {
      for (const id of b.noteIds) expect(await as(a, () => session.readById(id))).toBeUndefined();
    });

    it('changes and removes no foreign row', async () => {
      const [foreign] = b.noteIds as [string];
      expect(await as(a, () => session.update(foreign, 'stolen'))).toBe(0);
      expect(await as(a, () => session.remove(foreign))).toBe(0);
      expect(await as(b, () => session.readById(foreign))).toMatchObject({ body: `Note of ${b.tenantId}` });
    });

    it('is refused a forged tenant id in an insert', async () => {
      const error = await failure(as(a, () => session.insert(newNote(b, 'forged'))));
      expect(codesOf(error)).toContain('42501');
      await expectUntouched();
    });

    it('commits a transaction', async () => {
      const note = newNote(a);
      await as(a, () =>
        session.transaction(async (tx) => {
          await tx.insert(note);
          expect(await tx.readById(note.id)).toMatchObject({ id: note.id });
          expect(await tx.readById(b.noteIds[0] as string)).toBeUndefined();
        }),
      );
      expect(await as(b, () => session.readById(note.id))).toBeUndefined();
      expect(await as(a, () => session.remove(note.id))).toBe(1);
    });

    it('keeps transactions that run at once each to its tenant', async () => {
      const seen = await Promise.all(
        [a, b].map((tenant) =>
          as(tenant, () => session.transaction(async (tx) => [await tx.readAll(), await tx.readAll()] as const)),
        ),
      );
      expect(seen.map(([first]) => ids(first))).toEqual([ownIds(a), ownIds(b)]);
      expect(seen.map(([, second]) => ids(second))).toEqual([ownIds(a), ownIds(b)]);
    });

    it('keeps queries of one tick each to its tenant', async () => {
      const seen = await Promise.all([
        as(a, () => session.readById(b.noteIds[0] as string)),
        as(b, () => session.readById(b.noteIds[0] as string)),
        as(b, () => session.readById(a.noteIds[0] as string)),
        as(a, () => session.readById(a.noteIds[0] as string)),
      ]);
      expect(seen.map((note) => note?.tenantId)).toEqual([undefined, b.tenantId, undefined, a.tenantId]);
    });

    it('rolls a failed transaction back and leaves the connection clean', async () => {
      const note = newNote(a);
      const thrown = await failure(
        as(a, () =>
          session.transaction(async (tx) => {
            await tx.insert(note);
            throw new Error('of the application');
          }),
        ),
      );
      expect(String(thrown)).toContain('of the application');
      const refused = await failure(
        as(a, () =>
          session.transaction(async (tx) => {
            await tx.insert(note);
            await tx.raw('select 1 / 0');
          }),
        ),
      );
      expect(codesOf(refused)).toContain('22012');
      expect(await as(a, () => session.readById(note.id))).toBeUndefined();
      // more reads than connections: each has been used again
      await Promise.all(Array.from({ length: connections * 2 }, expectUntouched));
    });

    unlessExempt('nested')(`rolls back the inner transaction alone${reason('nested')}`, async () => {
      const outer = newNote(a, 'outer');
      const inner = newNote(a, 'inner');
      await as(a, () =>
        session.transaction(async (tx) => {
          await tx.insert(outer);
          const error = await failure(
            tx.nested(async (nested) => {
              await nested.insert(inner);
              await nested.insert(newNote(b, 'forged'));
            }),
          );
          expect(codesOf(error)).toContain('42501');
          expect(await tx.readById(b.noteIds[0] as string)).toBeUndefined();
          expect(await tx.readById(outer.id)).toMatchObject({ id: outer.id });
          await tx.nested((nested) => nested.update(outer.id, 'kept'));
        }),
      );
      expect(await as(a, () => session.readById(inner.id))).toBeUndefined();
      expect(await as(a, () => session.readById(outer.id))).toMatchObject({ body: 'kept' });
      expect(await as(a, () => session.remove(outer.id))).toBe(1);
    });

    it('refuses a transaction that another tenant goes on with', async () => {
      const error = await failure(
        as(a, () =>
          session.transaction(async (tx) => {
            await tx.readAll();
            await as(b, () => tx.readAll());
          }),
        ),
      );
      expect(codesOf(error)).toContain('TNT_CONTEXT_CHANGED');
      await expectUntouched();
    });

    it('gives the same statement the right rows again and again', async () => {
      for (let round = 0; round < 12; round++) {
        for (const tenant of tenants.slice(0, 3)) {
          expect(ids(await as(tenant, () => session.readAll()))).toEqual(ownIds(tenant));
          expect(await as(tenant, () => session.readById(a.noteIds[0] as string))).toEqual(
            tenant === a ? expect.objectContaining({ tenantId: a.tenantId }) : undefined,
          );
        }
      }
    });

    it('refuses a query outside of any context', async () => {
      expect(codesOf(await failure(session.readAll()))).toContain('TNT_CONTEXT_MISSING');
      expect(codesOf(await failure(session.insert(newNote(a))))).toContain('TNT_CONTEXT_MISSING');
      expect(codesOf(await failure(session.transaction((tx) => tx.readAll())))).toContain('TNT_CONTEXT_MISSING');
      await expectUntouched();
    });

    it('refuses a query in timers and events that lost the context', async () => {
      const jobs: (() => void)[] = [];
      const events = new EventEmitter();
      const timer = setInterval(() => jobs.shift()?.(), 1);
      const ticks = setInterval(() => events.emit('tick'), 1);
      try {
        const inTimer = await as(
          a,
          () => new Promise((resolve) => jobs.push(() => resolve(failure(session.readAll())))),
        );
        expect(codesOf(inTimer)).toContain('TNT_CONTEXT_MISSING');
        const inEvent = await as(
          a,
          () => new Promise((resolve) => events.once('tick', () => resolve(failure(session.readAll())))),
        );
        expect(codesOf(inEvent)).toContain('TNT_CONTEXT_MISSING');
        const kept = await as(
          a,
          () =>
            new Promise<Note[]>((resolve, reject) => setTimeout(() => void session.readAll().then(resolve, reject), 1)),
        );
        expect(ids(kept)).toEqual(ownIds(a));
      } finally {
        clearInterval(timer);
        clearInterval(ticks);
      }
    });

    unlessExempt('lazy')(`runs a lazy query as the one who awaits it${reason('lazy')}`, async () => {
      const built = await as(a, () => ({ query: session.lazy?.() }));
      expect(codesOf(await failure(built.query?.run()))).toContain('TNT_CONTEXT_MISSING');
      const handed = await as(a, () => ({ query: session.lazy?.() }));
      expect(ids(await as(b, async () => (await handed.query?.run()) ?? []))).toEqual(ownIds(b));
      expect(ids(await as(a, () => session.lazy?.().run() ?? []))).toEqual(ownIds(a));
    });

    unlessExempt('stream')(
      `streams rows of the tenant, and never hands it to another's event${reason('stream')}`,
      async () => {
        // every connection is opened by B, so that what a socket remembers would be B
        await as(b, () => Promise.all(Array.from({ length: connections * 2 }, () => session.readAll())));
        const rows: Note[] = [];
        const nested: Promise<unknown>[] = [];
        await as(a, () =>
          session.stream?.((note) => {
            rows.push(note);
            expect([undefined, a.tenantId]).toContain(
              (currentContext() as { tenantId?: string } | undefined)?.tenantId,
            );
            nested.push(session.readAll().then((notes) => ids(notes), codesOf));
          }),
        );
        expect(ids(rows)).toEqual(ownIds(a));
        for (const outcome of await Promise.all(nested)) {
          expect([['TNT_CONTEXT_MISSING'], ownIds(a)]).toContainEqual(outcome);
        }
        await expectUntouched();
      },
    );

    it(`answers ${requestCount} requests of ${tenantCount} tenants over ${connections} connections, while backends are cancelled and killed, with the tenant's rows or an error`, async () => {
      const chaos = await startChaos(database);
      let failed = 0;
      try {
        await Promise.all(
          Array.from({ length: requestCount }, async (_, request) => {
            const tenant = tenants[request % tenantCount] as Tenant;
            const other = tenants[(request + 1) % tenantCount] as Tenant;
            // what fails is asked again, as a client would: in the end each is answered
            for (;;) {
              try {
                return await as(tenant, () => oneRequest(session, tenant, other, request));
              } catch (error) {
                if ((error as { name?: string }).name === 'AssertionError' || ++failed > maxFailures) throw error;
                await new Promise((done) => setTimeout(done, 5));
              }
            }
          }),
        );
      } finally {
        await chaos.stop();
      }
      expect(chaos.ended()).toBeGreaterThan(0);
      for (const tenant of tenants) {
        const notes = await as(tenant, () => session.readAll());
        for (const note of notes) expect(note.tenantId).toBe(tenant.tenantId);
        expect(ids(notes)).toEqual(expect.arrayContaining(ownIds(tenant)));
      }
    });
  });
}

/** One request of the concurrency case: reads, a join, a write in a transaction; each row must be the tenant's. */
async function oneRequest(session: NoteSession, tenant: Tenant, other: Tenant, request: number): Promise<void> {
  const expectOwn = (rows: readonly { tenantId: string }[]): void => {
    for (const row of rows) expect(row.tenantId).toBe(tenant.tenantId);
  };
  const reads = async (on: NoteOperations): Promise<void> => {
    const notes = await on.readAll();
    expectOwn(notes);
    expect(notes.length).toBeGreaterThanOrEqual(tenant.noteIds.length);
    expect((await on.readById(tenant.noteIds[0] as string))?.tenantId).toBe(tenant.tenantId);
    expect(await on.readById(other.noteIds[0] as string)).toBeUndefined();
  };
  await reads(session);
  if (request % 3 === 0) {
    await session.transaction(async (tx) => {
      await tx.insert(newNote(tenant));
      await reads(tx);
    });
  } else expectOwn(await session.join());
}
