import type { Document } from 'yaml';
import { z } from 'zod';
import type { PlanDecisions } from '../plan.ts';
import type { Plan } from '../plan-types.ts';

const columns = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

/** Where the tenants are: an existing table, or the rows of a query with the columns that hold its key. */
export const rootSchema = z
  .strictObject({
    table: z.string().min(1).optional(),
    key: columns.optional(),
    name: z.string().min(1).optional(),
    query: z.string().trim().min(1).optional(),
    keys: z.record(z.string(), columns).optional(),
  })
  .superRefine(({ table, key, name, query, keys }, { addIssue }) => {
    const issue = (path: string, message: string): void => addIssue({ code: 'custom', path: [path], message });
    if ((table === undefined) === (query === undefined)) issue('table', 'needs either table or query');
    else if (query === undefined && keys !== undefined) issue('keys', 'belongs to a query; of a table it is key');
    else if (query !== undefined && key !== undefined) issue('key', 'belongs to a table; of a query it is keys');
    else if (query !== undefined && name !== undefined) issue('name', 'is a column of the query: select … as name');
    else if (query !== undefined && Object.keys(keys ?? {}).length === 0)
      issue('query', 'needs keys: the tables that hold its key, each with the column');
  });

export function readRoot(root: z.infer<typeof rootSchema> | undefined): Partial<PlanDecisions> {
  if (root?.query !== undefined) {
    return {
      query: root.query.replace(/[;\s]+$/, ''),
      keys: Object.fromEntries(Object.entries(root.keys ?? {}).map(([table, names]) => [table, [names].flat()])),
    };
  }
  return {
    root: root?.table,
    nameColumn: root?.name,
    rootKey: root?.key === undefined ? undefined : [root.key].flat(),
  };
}

export function setRoot(document: Document, plan: Plan): void {
  const { root, mapping, constant, keys } = plan;
  if (root !== null) {
    const { table, nameColumn, key } = root;
    const primary = plan.tables.find((t) => t.table === table)?.primaryKey ?? [];
    document.set(
      'root',
      document.createNode({
        table,
        ...(key.join('|') === primary.join('|') ? {} : { key: key.length === 1 ? key[0] : key }),
        ...(nameColumn === null ? {} : { name: nameColumn }),
      }),
    );
  } else if (mapping !== null) {
    const held = Object.entries(keys).map(([table, names]) => [table, names.map((column) => column.name)]);
    const node = document.createNode({ query: mapping.query, keys: Object.fromEntries(held) });
    document.set('root', node);
    for (const [table] of held) {
      const list = node.getIn(['keys', table], true);
      if (typeof list === 'object' && list !== null && 'flow' in list) list.flow = true;
    }
  } else if (constant !== null) {
    document.set('constant', document.createNode({ name: constant.name }));
  }
}
