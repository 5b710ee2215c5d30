import { PrismaPg } from '@prisma/adapter-pg';
import { isolatePrisma, prismaAdapter } from '../../src/adapters/prisma.ts';
import { type NoteModels, prismaNotes } from '../support/prisma-notes.ts';
import { describeIsolation } from './describe-isolation.ts';
import type { NoteOperations } from './driver.ts';

const all = (db: NoteModels) => db.note.findMany({ orderBy: { id: 'asc' } });

function operations(db: NoteModels): NoteOperations {
  return {
    readAll: async () => all(db),
    readById: async (id) => (await db.note.findUnique({ where: { id } })) ?? undefined,
    join: async () => {
      const notes = (await db.note.findMany({ include: { notebook: true } })) as unknown as {
        tenantId: string;
        body: string;
        notebook: { title: string };
      }[];
      return notes.map(({ tenantId, body, notebook }) => ({ tenantId, body, title: notebook.title }));
    },
    insert: async (note) => db.note.create({ data: note }),
    update: async (id, body) => (await db.note.updateMany({ where: { id }, data: { body } })).count,
    remove: async (id) => (await db.note.deleteMany({ where: { id } })).count,
    raw: async (text) => db.$queryRawUnsafe(text),
  };
}

describeIsolation({
  name: 'Prisma',
  exempt: { stream: 'Prisma has no streams' },
  open: async (pool) => {
    const PrismaClient = await prismaNotes();
    const db = isolatePrisma(new PrismaClient({ adapter: prismaAdapter(PrismaPg, pool) }));
    return {
      ...operations(db),
      transaction: (fn) =>
        db.$transaction(
          (tx) =>
            fn({ ...operations(tx), nested: (inner) => tx.$transaction((savepoint) => inner(operations(savepoint))) }),
          { isolationLevel: 'Serializable', maxWait: 20_000, timeout: 20_000 },
        ),
      lazy: () => {
        const query = all(db);
        return { run: () => query };
      },
      teardown: () => db.$disconnect(),
    };
  },
});
