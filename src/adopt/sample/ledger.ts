import type { Queryable, Row } from '../../database/sql.ts';

/** What was committed for certain, to be compared with the database at the end. */
export interface Ledger {
  /** Order → number of its lines. */
  readonly orders: Map<string, number>;
  /** Customer → the city it was last moved to. */
  readonly cities: Map<string, string>;
  /** Orders that were deleted softly. */
  readonly deleted: Set<string>;
  /** Product → number of moves that were copied in for it. */
  readonly copied: Map<string, number>;
}

/** The delta of moves that came by COPY: nothing else writes it. */
export const copiedDelta = 7777;

export function createLedger(): Ledger {
  return { orders: new Map(), cities: new Map(), deleted: new Set(), copied: new Map() };
}

/** Entries that the database no longer has as they were committed. */
export async function countLost(db: Queryable, ledger: Ledger): Promise<number> {
  const { rows: orders } = await db.query<Row & { id: string; lines: number; deleted: boolean }>(
    `select o.id::text as id, (select count(*) from order_lines l where l.order_id = o.id)::int as lines, o.deleted_at is not null as deleted
     from orders o where o.id = any($1::bigint[])`,
    [[...ledger.orders.keys()]],
  );
  const { rows: customers } = await db.query<Row & { id: string; city: string }>(
    `select c.id::text as id, c.city from customers c where c.id = any($1::bigint[])`,
    [[...ledger.cities.keys()]],
  );
  const { rows: moves } = await db.query<Row & { id: string; moves: number }>(
    `select m.product_id::text as id, count(*)::int as moves from stock_moves m
     where m.product_id = any($1::bigint[]) and m.delta = $2::int group by 1`,
    [[...ledger.copied.keys()], copiedDelta],
  );
  const found = new Map(orders.map((row) => [row.id, row]));
  const cities = new Map(customers.map((row) => [row.id, row.city]));
  const copied = new Map(moves.map((row) => [row.id, row.moves]));
  return (
    [...ledger.orders].filter(([id, lines]) => found.get(id)?.lines !== lines).length +
    [...ledger.deleted].filter((id) => ledger.orders.has(id) && found.get(id)?.deleted !== true).length +
    [...ledger.cities].filter(([id, city]) => cities.get(id) !== city).length +
    // more is no loss: whether a request that failed had committed cannot be known
    [...ledger.copied].filter(([id, count]) => (copied.get(id) ?? 0) < count).length
  );
}
