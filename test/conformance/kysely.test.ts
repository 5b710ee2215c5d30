import { type ControlledTransaction, Kysely, PostgresDialect, sql } from 'kysely';
import Cursor from 'pg-cursor';
import { kyselyConfig } from '../../src/adapters/kysely.ts';
import { describeIsolation } from './describe-isolation.ts';
import type { NoteOperations } from './driver.ts';

interface Schema {
  notebooks: { tenant_id: string; id: string; title: string };
  notes: { tenant_id: string; id: string; notebook_id: string; body: string };
}

const all = (db: Kysely<Schema>) =>
  db.selectFrom('notes').select(['id', 'tenant_id as tenantId', 'body']).orderBy('id');

function operations(db: Kysely<Schema>): NoteOperations {
  return {
    readAll: () => all(db).execute(),
    readById: (id) => all(db).where('id', '=', id).executeTakeFirst(),
    join: () =>
      db
        .selectFrom('notes')
        .innerJoin('notebooks', 'notebooks.id', 'notes.notebook_id')
        .select(['notes.tenant_id as tenantId', 'notebooks.title', 'notes.body'])
        .execute(),
    insert: ({ id, tenantId, notebookId, body }) =>
      db.insertInto('notes').values({ id, tenant_id: tenantId, notebook_id: notebookId, body }).execute(),
    update: async (id, body) =>
      Number((await db.updateTable('notes').set({ body }).where('id', '=', id).executeTakeFirst()).numUpdatedRows),
    remove: async (id) => Number((await db.deleteFrom('notes').where('id', '=', id).executeTakeFirst()).numDeletedRows),
    raw: async (text) => (await sql.raw(text).execute(db)).rows,
  };
}

async function nested(
  tx: ControlledTransaction<Schema>,
  fn: (inner: NoteOperations) => Promise<unknown>,
): Promise<unknown> {
  const savepoint = await tx.savepoint('inner_work').execute();
  try {
    const result = await fn(operations(savepoint));
    await savepoint.releaseSavepoint('inner_work').execute();
    return result;
  } catch (error) {
    await savepoint.rollbackToSavepoint('inner_work').execute();
    throw error;
  }
}

describeIsolation({
  name: 'Kysely',
  open: async (pool) => {
    const db = new Kysely<Schema>({ dialect: new PostgresDialect(kyselyConfig(pool, { cursor: Cursor })) });
    return {
      ...operations(db),
      async transaction(fn) {
        const tx = await db.startTransaction().execute();
        try {
          const result = await fn({ ...operations(tx), nested: (inner) => nested(tx, inner) });
          await tx.commit().execute();
          return result;
        } catch (error) {
          await tx
            .rollback()
            .execute()
            .catch(() => {}); // the connection may be gone
          throw error;
        }
      },
      lazy: () => {
        const query = all(db);
        return { run: () => query.execute() };
      },
      async stream(seen) {
        for await (const note of all(db).stream(1)) seen(note);
      },
      teardown: () => db.destroy(),
    };
  },
});
