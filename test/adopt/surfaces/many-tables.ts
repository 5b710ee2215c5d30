import type { ForeignKey, Inspection, TableFacts } from '../../../src/adopt/index.ts';

const column = (name: string, type: string): TableFacts['columns'][number] => ({
  name,
  type,
  notNull: true,
  hasDefault: false,
  generated: false,
});

/** An inspection of so many tables, the same each time: a root, chains and fans below it, reference tables, second ways, loops. */
export function manyTables(count: number, names: readonly string[] = []): Inspection {
  const tables: TableFacts[] = [];
  const foreignKeys: ForeignKey[] = [];
  const add = (table: string): void => {
    tables.push({
      name: `public.${/^[a-z_0-9]+$/.test(table) ? table : `"${table.replaceAll('"', '""')}"`}`,
      schema: 'public',
      table,
      kind: 'table',
      partitions: [],
      inherits: [],
      owner: 'app',
      rows: (tables.length * 7919) % 100_000,
      bytes: 8192 * (tables.length + 1),
      indexes: 1,
      columns: [column('id', 'bigint'), column('name', 'text')],
      primaryKey: ['id'],
      uniques: [],
      rowSecurity: 'off',
      unlogged: false,
    });
  };
  const key = (from: number, to: number, name: string): void => {
    foreignKeys.push({
      name: `${from}_${name}`,
      table: tables[from]!.name,
      columns: [name],
      parent: tables[to]!.name,
      parentColumns: ['id'],
      nullable: false,
      deferrable: false,
      validated: true,
      onDelete: 'no action',
      onUpdate: 'no action',
    });
  };
  add('accounts');
  for (let i = 1; i < count; i += 1) {
    add(names[i - 1] ?? `table_with_a_name_of_some_length_${i}`);
    if (i % 11 === 0) continue; // hangs on nothing
    key(i, i % 3 === 0 ? 0 : Math.floor(i / 2) % 11 === 0 ? 0 : Math.floor(i / 2), 'parent_id');
    if (i % 5 === 0 && i > 3) key(i, i - 2, 'other_id');
    if (i % 17 === 0) key(i, i, 'self_id');
  }
  return {
    database: 'many',
    login: 'admin',
    serverVersion: 180000,
    tables,
    foreignKeys,
    triggers: [],
    views: [],
    functions: [],
    sequences: [],
    schemas: [{ name: 'public', owner: 'app', usedBy: ['tenantry_app', 'tenantry_owner'] }],
    extensionTables: [],
    foreignTables: [],
    published: [],
  };
}
