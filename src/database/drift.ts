import { type Queryable, type Row, renderSchema } from './sql.ts';

/** One row of `tenantry.adoption_drift()`: where the open adoption and the catalogue differ. */
export interface Drift {
  readonly kind: 'table-new' | 'table-gone' | 'key-new' | 'key-gone' | 'trigger-off';
  /** `schema.table`, each part quoted where it must be. */
  readonly table: string;
  readonly columns: readonly string[];
  readonly parent: string | null;
  /** The foreign key, the trigger or the table itself. */
  readonly object: string;
}

/** What came, went or was switched off since the plan was made. Nothing where no adoption is open. Any login of the application may ask. */
export async function readDrift(db: Queryable, schema: string): Promise<Drift[]> {
  const { rows } = await db.query<Drift & Row>(
    renderSchema(
      `select d.kind, d.table_name as "table", d.columns, d.parent, d.object_name as object from tenantry.adoption_drift() d`,
      schema,
    ),
  );
  return rows.map(({ kind, table, columns, parent, object }) => ({ kind, table, columns, parent, object }));
}

/** One line for a start: what nobody decided about, and the next step. Undefined where there is nothing to say. */
export function describeDrift(drift: readonly Drift[]): string | undefined {
  const parts = [
    naming(drift, 'table-new', 'unclassified table', ({ table }) => table),
    naming(drift, 'key-new', 'unclassified foreign key', ({ table, columns }) => `${table}(${columns.join(', ')})`),
    naming(drift, 'key-gone', 'missing foreign key', ({ table, columns }) => `${table}(${columns.join(', ')})`),
    naming(drift, 'trigger-off', 'missing or disabled trigger', ({ table, object }) => `${object} on ${table}`),
  ].flat();
  if (parts.length === 0) return undefined;
  return `Since the adoption: ${parts.join('; ')}. Next: tenantry adopt plan --check`;
}

const most = 3;

function naming(drift: readonly Drift[], kind: Drift['kind'], what: string, name: (one: Drift) => string): string[] {
  const names = drift.filter((one) => one.kind === kind).map(name);
  if (names.length === 0) return [];
  const more = names.length > most ? ` and ${names.length - most} more` : '';
  return [`${names.length} ${what}${names.length === 1 ? '' : 's'} (${names.slice(0, most).join(', ')}${more})`];
}

const warned = new Set<string>();

/** Says once per process and message what came since an adoption. Never fails: it is a warning. */
export async function warnOfDrift(
  db: Queryable,
  schema: string,
  onWarning: (message: string) => void = (message) => process.emitWarning(message, { type: 'TenantryWarning' }),
): Promise<void> {
  // a login without the function's right or a server that is just going away: the checks at start say so themselves
  const message = describeDrift(await readDrift(db, schema).catch(() => []));
  if (message === undefined || warned.has(`${schema}:${message}`)) return;
  warned.add(`${schema}:${message}`);
  onWarning(message);
}
