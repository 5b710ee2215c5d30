import knexDefault, { type Knex } from 'knex';
import { knexConfig } from '../../src/adapters/knex.ts';
import { describeIsolation } from './describe-isolation.ts';
import type { NoteOperations } from './driver.ts';
import type { Note } from './notes.ts';

const { knex: createKnex } = knexDefault;
const all = (db: Knex) => db('notes').select<Note[]>('id', 'tenant_id as tenantId', 'body').orderBy('id');

function operations(db: Knex): NoteOperations {
  return {
    readAll: async () => all(db),
    readById: async (id) => all(db).where({ id }).first<Note | undefined>(),
    join: async () =>
      db('notes')
        .join('notebooks', 'notebooks.id', 'notes.notebook_id')
        .select('notes.tenant_id as tenantId', 'notebooks.title', 'notes.body'),
    insert: async ({ id, tenantId, notebookId, body }) =>
      db('notes').insert({ id, tenant_id: tenantId, notebook_id: notebookId, body }),
    update: async (id, body) => db('notes').where({ id }).update({ body }),
    remove: async (id) => db('notes').where({ id }).delete(),
    raw: async (text) => (await db.raw<{ rows: unknown[] }>(text)).rows,
  };
}

describeIsolation({
  name: 'Knex',
  open: async (pool) => {
    const db = createKnex(knexConfig(pool, { version: '15' }));
    return {
      ...operations(db),
      transaction: (fn) =>
        db.transaction((tx) =>
          fn({ ...operations(tx), nested: (inner) => tx.transaction((savepoint) => inner(operations(savepoint))) }),
        ),
      lazy: () => {
        const query = all(db);
        return { run: () => query };
      },
      async stream(seen) {
        const stream = all(db).stream();
        await new Promise<void>((resolve, reject) => {
          stream.on('data', seen);
          stream.on('end', resolve);
          stream.on('error', reject);
        });
      },
      teardown: () => db.destroy(),
    };
  },
});
