import type { Queryable, Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { Plan } from '../plan-types.ts';

/**
 * A copy gets its key from the column's default: it must be one that gives another value each time.
 *
 * @throws TNT_PLAN_INVALID
 */
export async function refuseFixedKeys(db: Queryable, plan: Plan): Promise<void> {
  for (const table of plan.tables) {
    if (table.rule?.sharedRows !== 'duplicate') continue;
    const [key] = table.primaryKey;
    const { rows } = await db.query<Row & { makes: boolean; text: string }>(
      `select a.attidentity <> '' or pg_get_expr(d.adbin, d.adrelid) ~* '(nextval|uuid\\w*)\\(' as makes, coalesce(pg_get_expr(d.adbin, d.adrelid), '') as text
       from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
       where a.attrelid = $1::regclass and a.attname = $2::name and not a.attisdropped`,
      [table.table, key],
    );
    if (rows[0]?.makes === true) continue;
    throw new TenantryError(
      'TNT_PLAN_INVALID',
      `tables.${table.table}.shared_rows: duplicate: the default of ${table.table}.${key ?? ''} (${rows[0]?.text ?? ''}) is no sequence, identity or uuid function; a copy would have no key of its own.`,
    );
  }
}
