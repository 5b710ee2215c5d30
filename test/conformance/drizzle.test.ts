import { eq, sql } from 'drizzle-orm';
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres';
import { pgTable, text, uuid } from 'drizzle-orm/pg-core';
import { drizzlePool } from '../../src/adapters/drizzle.ts';
import { describeIsolation } from './describe-isolation.ts';
import type { IsolationDriver, NoteOperations } from './driver.ts';

const notebooks = pgTable('notebooks', {
  tenantId: uuid('tenant_id').notNull(),
  id: uuid().notNull(),
  title: text().notNull(),
});
const notes = pgTable('notes', {
  tenantId: uuid('tenant_id').notNull(),
  id: uuid().notNull(),
  notebookId: uuid('notebook_id').notNull(),
  body: text().notNull(),
});
type Database = Pick<NodePgDatabase, 'select' | 'insert' | 'update' | 'delete' | 'execute'>;

const note = { id: notes.id, tenantId: notes.tenantId, body: notes.body };

function operations(db: Database): NoteOperations {
  const byId = db
    .select(note)
    .from(notes)
    .where(eq(notes.id, sql.placeholder('id')))
    .prepare('note_by_id');
  return {
    readAll: () => db.select(note).from(notes).orderBy(notes.id),
    readById: async (id) => (await byId.execute({ id }))[0],
    join: () =>
      db
        .select({ tenantId: notes.tenantId, title: notebooks.title, body: notes.body })
        .from(notes)
        .innerJoin(notebooks, eq(notebooks.id, notes.notebookId)),
    insert: (row) => db.insert(notes).values(row),
    update: async (id, body) => (await db.update(notes).set({ body }).where(eq(notes.id, id))).rowCount ?? 0,
    remove: async (id) => (await db.delete(notes).where(eq(notes.id, id))).rowCount ?? 0,
    raw: async (statement) => (await db.execute(sql.raw(statement))).rows,
  };
}

const driver: IsolationDriver = {
  name: 'Drizzle',
  exempt: { stream: 'Drizzle has no streams' },
  open: async (pool) => {
    const db = drizzle(drizzlePool(pool));
    return {
      ...operations(db),
      transaction: (fn) =>
        db.transaction((tx) =>
          fn({ ...operations(tx), nested: (inner) => tx.transaction((savepoint) => inner(operations(savepoint))) }),
        ),
      lazy: () => {
        const query = db.select(note).from(notes).orderBy(notes.id);
        return { run: () => query };
      },
      teardown: async () => {},
    };
  },
};

describeIsolation(driver);
describeIsolation({ ...driver, name: 'Drizzle, multiplexed', pool: { multiplex: { connections: 2 } } });
