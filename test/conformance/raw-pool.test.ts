import type pg from 'pg';
import QueryStream from 'pg-query-stream';
import type { TenantPool } from '../../src/pool/index.ts';
import { describeIsolation } from './describe-isolation.ts';
import type { IsolationDriver, NoteOperations, NoteSession } from './driver.ts';
import type { Note } from './notes.ts';

const columns = 'id, tenant_id as "tenantId", body';

function operations(on: Pick<pg.Pool, 'query'>): NoteOperations {
  return {
    readAll: async () => (await on.query<Note>(`select ${columns} from notes order by id`)).rows,
    readById: async (id) => (await on.query<Note>(`select ${columns} from notes where id = $1`, [id])).rows[0],
    join: async () =>
      (
        await on.query<{ tenantId: string; title: string; body: string }>(
          'select n.tenant_id as "tenantId", b.title, n.body from notes n join notebooks b on b.id = n.notebook_id',
        )
      ).rows,
    insert: ({ id, tenantId, notebookId, body }) =>
      on.query('insert into notes (id, tenant_id, notebook_id, body) values ($1, $2, $3, $4)', [
        id,
        tenantId,
        notebookId,
        body,
      ]),
    update: async (id, body) => (await on.query('update notes set body = $2 where id = $1', [id, body])).rowCount ?? 0,
    remove: async (id) =>
      (await on.query({ name: 'remove-note', text: 'delete from notes where id = $1', values: [id] })).rowCount ?? 0,
    raw: async (text) => (await on.query<Record<string, unknown>>(text)).rows,
  };
}

const driver: IsolationDriver = {
  name: 'pg',
  exempt: { lazy: 'a query of pg is sent when it is made' },
  open: async (pool) => session(pool),
};

const session = (pool: TenantPool): NoteSession => ({
  ...operations(pool),
  async transaction(fn) {
    const client = await pool.connect();
    try {
      await client.query('begin');
      const result = await fn({
        ...operations(client),
        async nested(inner) {
          await client.query('savepoint inner_work');
          try {
            const done = await inner(operations(client));
            await client.query('release savepoint inner_work');
            return done;
          } catch (error) {
            await client.query('rollback to savepoint inner_work');
            throw error;
          }
        },
      });
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback').catch(() => {}); // the connection may be gone
      throw error;
    } finally {
      client.release();
    }
  },
  async stream(seen) {
    const client = await pool.connect();
    try {
      const stream = client.query(new QueryStream(`select ${columns} from notes order by id`));
      await new Promise<void>((resolve, reject) => {
        stream.on('data', seen);
        stream.on('end', resolve);
        stream.on('error', reject);
      });
    } finally {
      client.release();
    }
  },
  teardown: async () => {},
});

describeIsolation(driver);
describeIsolation({ ...driver, name: 'pg, as behind a transaction pooler', pool: { pooler: 'transaction' } });
describeIsolation({ ...driver, name: 'pg, without statement names', pool: { naming: false } });
describeIsolation({ ...driver, name: 'pg, multiplexed', pool: { multiplex: { connections: 2 } } });
