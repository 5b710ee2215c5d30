import { DataSource, type EntityManager, EntitySchema } from 'typeorm';
import { initializeDataSource, typeormDriver } from '../../src/adapters/typeorm.ts';
import { describeIsolation } from './describe-isolation.ts';
import type { NoteOperations } from './driver.ts';
import type { Note } from './notes.ts';

interface NotebookRow {
  tenantId: string;
  id: string;
  title: string;
}
interface NoteRow {
  tenantId: string;
  id: string;
  notebookId: string;
  body: string;
}
const tenantId = { type: 'uuid', name: 'tenant_id', primary: true } as const;
const id = { type: 'uuid', primary: true } as const;
const notebooks = new EntitySchema<NotebookRow>({
  name: 'Notebook',
  tableName: 'notebooks',
  columns: { tenantId, id, title: { type: 'text' } },
});
const notes = new EntitySchema<NoteRow>({
  name: 'Note',
  tableName: 'notes',
  columns: { tenantId, id, notebookId: { type: 'uuid', name: 'notebook_id' }, body: { type: 'text' } },
});

function operations(manager: EntityManager): NoteOperations {
  const repository = manager.getRepository(notes);
  return {
    readAll: () => repository.find({ order: { id: 'asc' } }),
    readById: async (id) => (await repository.findOneBy({ id })) ?? undefined,
    join: () =>
      repository
        .createQueryBuilder('note')
        .innerJoin('notebooks', 'book', 'book.id = note.notebook_id')
        .select(['note.tenant_id as "tenantId"', 'book.title as title', 'note.body as body'])
        .getRawMany(),
    insert: (note) => repository.insert({ ...note }),
    update: async (id, body) => (await repository.update({ id }, { body })).affected ?? 0,
    remove: async (id) => (await repository.delete({ id })).affected ?? 0,
    raw: (text) => manager.query<unknown[]>(text),
  };
}

describeIsolation({
  name: 'TypeORM',
  open: async (pool) => {
    const source = new DataSource({ type: 'postgres', driver: typeormDriver(pool), entities: [notebooks, notes] });
    await initializeDataSource(source);
    return {
      ...operations(source.manager),
      transaction: (fn) =>
        source.transaction('SERIALIZABLE', (tx) =>
          fn({ ...operations(tx), nested: (inner) => tx.transaction((savepoint) => inner(operations(savepoint))) }),
        ),
      lazy: () => {
        const query = source.getRepository(notes).createQueryBuilder('note').orderBy('note.id');
        return { run: () => query.getMany() };
      },
      async stream(seen) {
        const runner = source.createQueryRunner();
        try {
          const stream = await runner.stream('select id, tenant_id as "tenantId", body from notes order by id');
          await new Promise<void>((resolve, reject) => {
            stream.on('data', (row: unknown) => seen(row as Note));
            stream.on('end', resolve);
            stream.on('error', reject);
          });
        } finally {
          await runner.release();
        }
      },
      teardown: () => source.destroy(),
    };
  },
});
