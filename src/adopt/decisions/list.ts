import type { Queryable, Row } from '../../database/sql.ts';
import type { TableName } from '../inspection.ts';
import type { FindingKind, Listing } from './findings.ts';

/** One row that does not belong to one tenant as it is, or did not before a decision. */
export interface RowFinding {
  readonly table: TableName;
  readonly kind: FindingKind;
  /** `(17)`: as `rows:` in the plan names it. */
  readonly key: string;
  /** The way that the tenant comes by, and the key of its organization. */
  readonly way: string;
  readonly tenant: string | null;
  /** The other way, and where it leads; several tenants with spaces between. Null for rows without a tenant. */
  readonly otherWay: string | null;
  readonly otherTenants: string | null;
  /** `stop`: nothing is decided yet. */
  readonly decision: string;
}

type ListedRow = Row & { key: string; tenant: string | null; other: string | null; decision: string };

/**
 * Every row of the listings, in batches through a cursor: however many there are, memory stays the same.
 *
 * @param db a connection in a transaction, that nobody else uses meanwhile
 */
export async function* listRows(
  db: Queryable,
  listings: readonly Listing[],
  batch = 1000,
): AsyncGenerator<readonly RowFinding[]> {
  for (const { table, kind, ways, text } of listings) {
    await db.query(
      `declare tenantry_findings no scroll cursor for select f.key, f.tenant, f.other, f.decision from (${text}) f order by f.ord`,
    );
    for (;;) {
      const { rows } = await db.query<ListedRow>(`fetch forward ${batch} from tenantry_findings`);
      if (rows.length === 0) break;
      yield rows.map(({ key, tenant, other, decision }) => ({
        table,
        kind,
        key,
        way: kind === 'joins tenants' ? (ways[0] ?? '') : ways.join('; '),
        tenant,
        otherWay: kind === 'joins tenants' ? (ways[1] ?? null) : null,
        otherTenants: other,
        decision,
      }));
    }
    await db.query('close tenantry_findings');
  }
}
