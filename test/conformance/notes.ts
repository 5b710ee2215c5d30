import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createIsolation } from '../../src/isolation/index.ts';
import type { TestDatabase } from '../support/database.ts';

export interface Note {
  readonly id: string;
  readonly tenantId: string;
  readonly body: string;
}

export interface NewNote {
  readonly id: string;
  readonly tenantId: string;
  readonly notebookId: string;
  readonly body: string;
}

/** An organization of the suite with one notebook and its notes. */
export interface Tenant {
  readonly tenantId: string;
  readonly notebookId: string;
  readonly noteIds: readonly string[];
}

const notesPerTenant = 3;

/** Makes the application's tables, protects them, and fills them for so many organizations. */
export async function createNotes(database: TestDatabase, count: number): Promise<Tenant[]> {
  await database.query(readFileSync(new URL('schema.sql', import.meta.url), 'utf8'));
  const isolation = createIsolation({ admin: database.admin });
  await isolation.protect('public.notebooks');
  await isolation.protect('public.notes');
  const tenants = Array.from({ length: count }, (): Tenant => {
    return {
      tenantId: randomUUID(),
      notebookId: randomUUID(),
      noteIds: Array.from({ length: notesPerTenant }, () => randomUUID()),
    };
  });
  const ids = tenants.map(({ tenantId }) => tenantId);
  await database.query(
    `insert into tenantry.organizations (id, key, name, slug)
     select id, id::text, 'Organization ' || n, 'organization-' || n from unnest($1::uuid[]) with ordinality as o (id, n)`,
    [ids],
  );
  await database.query(
    `insert into public.notebooks (tenant_id, id, title) select tenant_id, id, 'Notebook of ' || tenant_id from unnest($1::uuid[], $2::uuid[]) as n (tenant_id, id)`,
    [ids, tenants.map(({ notebookId }) => notebookId)],
  );
  await database.query(
    `insert into public.notes (tenant_id, id, notebook_id, body) select tenant_id, id, notebook_id, 'Note of ' || tenant_id from unnest($1::uuid[], $2::uuid[], $3::uuid[]) as n (tenant_id, id, notebook_id)`,
    [
      tenants.flatMap(({ tenantId, noteIds }) => noteIds.map(() => tenantId)),
      tenants.flatMap(({ noteIds }) => noteIds),
      tenants.flatMap(({ notebookId, noteIds }) => noteIds.map(() => notebookId)),
    ],
  );
  return tenants;
}

export function newNote({ tenantId, notebookId }: Tenant, body = 'new'): NewNote {
  return { id: randomUUID(), tenantId, notebookId, body };
}
