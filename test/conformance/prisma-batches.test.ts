import { PrismaPg } from '@prisma/adapter-pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isolatePrisma, prismaAdapter } from '../../src/adapters/prisma.ts';
import { withTenant } from '../../src/context/index.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { type NoteClient, prismaNotes } from '../support/prisma-notes.ts';
import { codesOf, failure } from './errors.ts';
import { createNotes, type Tenant } from './notes.ts';

type Row = { readonly tenantId: string } | null;
/** What A and B call in one tick. */
type Attack = (db: NoteClient, a: Tenant, b: Tenant) => [() => Promise<Row>, () => Promise<Row>];

/** Calls that meet: each goes on when both have come here. */
function meeting(): () => Promise<void> {
  let come = 0;
  let open = (): void => {};
  const both = new Promise<void>((resolve) => (open = resolve));
  return () => {
    come++;
    if (come === 2) open();
    return both;
  };
}

const attacks: Record<string, Attack> = {
  findUnique: (db, a) => {
    const where = { where: { id: a.noteIds[0] } };
    return [() => db.note.findUnique(where), () => db.note.findUnique(where)];
  },
  findUniqueOrThrow: (db, a) => {
    const where = { where: { id: a.noteIds[0] } };
    return [
      () => db.note.findUniqueOrThrow(where),
      async () => {
        try {
          return await db.note.findUniqueOrThrow(where);
        } catch (error) {
          expect(codesOf(error)).toContain('P2025');
          return null;
        }
      },
    ];
  },
  'a fluent relation': (db, a) => {
    const where = { where: { id: a.noteIds[0] } };
    return [() => db.note.findUnique(where).notebook(), () => db.note.findUnique(where).notebook()];
  },
  'findUnique under a compound key': (db, { tenantId, noteIds }) => {
    const where = { where: { tenantId_id: { tenantId, id: noteIds[0] } } };
    return [() => db.note.findUnique(where), () => db.note.findUnique(where)];
  },
  'findUnique of another model': (db, a) => [
    () => db.note.findUnique({ where: { id: a.noteIds[0] } }),
    () => db.notebook.findUnique({ where: { tenantId_id: { tenantId: a.tenantId, id: a.notebookId } } }),
  ],
  'a batch transaction': (db) => {
    const batch = async (): Promise<Row> => {
      const [note] = await db.$transaction([db.note.findFirst(), db.note.count()] as const);
      return note;
    };
    return [batch, batch];
  },
  'an interactive transaction': (db) => {
    const meet = meeting();
    const transaction = async (): Promise<Row> =>
      db.$transaction(async (tx) => {
        await meet();
        return tx.note.findFirst();
      });
    return [transaction, transaction];
  },
  'an extended client': (db, a) => {
    const extended = db.$extends({ model: { note: { nothing: () => undefined } } });
    const where = { where: { id: a.noteIds[0] } };
    return [() => extended.note.findUnique(where), () => extended.note.findUnique(where)];
  },
};

describe("D5 Prisma's batches", () => {
  let database: TestDatabase;
  let pool: TenantPool;
  let a: Tenant;
  let b: Tenant;
  let PrismaClient: Awaited<ReturnType<typeof prismaNotes>>;
  const clients: NoteClient[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    [a, b] = (await createNotes(database, 2)) as [Tenant, Tenant];
    pool = createPool({ connectionString: database.appUrl, max: 4 });
    pool.setMaxListeners(50); // one for each client
    PrismaClient = await prismaNotes();
  });
  afterAll(async () => {
    for (const client of clients) await client.$disconnect();
    await pool?.end();
    await database?.drop();
  });

  /** Whether either received a row of the other. */
  const crosses = async (client: NoteClient, [first, second]: ReturnType<Attack>): Promise<boolean> => {
    clients.push(client);
    await withTenant({ tenantId: b.tenantId }, () => client.note.count()); // connected: both calls now meet in one tick
    const [byA, byB] = await Promise.all([
      withTenant({ tenantId: a.tenantId }, first),
      withTenant({ tenantId: b.tenantId }, second),
    ]);
    return byA?.tenantId === b.tenantId || byB?.tenantId === a.tenantId;
  };

  for (const [name, calls] of Object.entries(attacks)) {
    it(`hand one tenant the row of another through ${name}, without the adapter`, async () => {
      const plain = new PrismaClient({ adapter: new PrismaPg(pool) });
      expect(await crosses(plain, calls(plain, a, b))).toBe(true);
    });

    it(`keep to their tenant through ${name}, with it`, async () => {
      const isolated = isolatePrisma(new PrismaClient({ adapter: prismaAdapter(PrismaPg, pool) }));
      expect(await crosses(isolated, calls(isolated, a, b))).toBe(false);
    });
  }

  it('still merge the calls of one tenant into one statement', async () => {
    const db = isolatePrisma(new PrismaClient({ adapter: prismaAdapter(PrismaPg, pool) }));
    clients.push(db);
    const statements = await withTenant({ tenantId: a.tenantId }, async () => {
      await db.note.count();
      let acquired = 0;
      const count = (): void => void acquired++;
      pool.on('acquire', count);
      const notes = await Promise.all(a.noteIds.map((id) => db.note.findUnique({ where: { id } })));
      pool.off('acquire', count);
      expect(notes.map((note) => note?.id)).toEqual(a.noteIds);
      return acquired;
    });
    expect(statements).toBe(1);
  });

  it('are refused to a client that did not pass through isolatePrisma', async () => {
    const db = new PrismaClient({ adapter: prismaAdapter(PrismaPg, pool) });
    const error = await failure(withTenant({ tenantId: a.tenantId }, () => db.note.count()));
    expect(codesOf(error)).toContain('TNT_CONFIG_INVALID');
  });

  it('are refused over a pool that Prisma does not know as one', () => {
    class Configured {
      readonly externalPool = null;
      async connect(): Promise<unknown> {
        return this;
      }
    }
    expect(() => prismaAdapter(Configured, pool)).toThrow(/its own copy of "pg"/);
    expect(() => prismaAdapter(PrismaPg, { query: pool.query.bind(pool) } as never)).toThrow(/its own copy of "pg"/);
  });

  it('are refused for a client whose loader is not where it is known to be', () => {
    expect(() => isolatePrisma({ _requestHandler: { dataloader: {} } })).toThrow(/loader of this Prisma client/);
    expect(() => isolatePrisma({})).toThrow(/loader of this Prisma client/);
  });
});
