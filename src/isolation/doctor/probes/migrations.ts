import { sqlStateOf } from '../../../database/database-error.ts';
import { listMigrations, type Migration } from '../../../database/migrations.ts';
import { ident, type Queryable } from '../../../database/sql.ts';
import type { CheckRow } from '../finding.ts';
import type { Probe } from './probe.ts';

interface Applied extends Record<string, unknown> {
  readonly id: number;
  readonly name: string;
  readonly checksum: string;
}

/** Compares what a database has applied with what this version brings. Pure. */
export function driftOf(schema: string, applied: readonly Applied[], known: readonly Migration[]): CheckRow[] {
  const row = (key: string, detail: string, fix: string): CheckRow => {
    return { object: `schema ${schema}`, level: null, detail, fix, statement: null, key };
  };
  if (applied.length === 0) return [row('missing', 'it has no tables of Tenantry', 'tenantry migrate up')];
  return [
    ...known
      .filter(({ id }) => !applied.some((one) => one.id === id))
      .map(({ id, name }) => row(`missing:${id}`, `migration ${id} (${name}) is not applied`, 'tenantry migrate up')),
    ...applied
      .filter(({ id }) => !known.some((one) => one.id === id))
      .map(({ id, name }) =>
        row(`newer:${id}`, `migration ${id} (${name}) is of a newer version`, 'Upgrade the tenantry package.'),
      ),
    ...applied
      .filter(({ id, checksum }) => known.some((one) => one.id === id && one.checksum !== checksum))
      .map(({ id, name }) =>
        row(
          `edited:${id}`,
          `migration ${id} (${name}) was applied with another text than this version's`,
          'Install the released package again; changes belong in a new migration.',
        ),
      ),
  ];
}

export const migrationsDrift: Probe = async ({ app, schema }) =>
  driftOf(schema, await appliedIn(app, schema), listMigrations(schema));

async function appliedIn(app: Queryable, schema: string): Promise<Applied[]> {
  try {
    return (await app.query<Applied>(`select id, name, checksum from ${ident(schema)}.migrations order by id`)).rows;
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === '42P01' || state === '3F000') return []; // undefined_table, invalid_schema_name
    throw error;
  }
}
