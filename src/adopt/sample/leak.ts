import type { Queryable, Row } from '../../database/sql.ts';

export interface RefundRow extends Row {
  id: string;
  shop_id: string;
  customer: string;
}

/**
 * The planted fault: a report of a shop's refunds that forgot to name the shop. It answers with every shop's. It stands in the old
 * code like hundreds of correct statements beside it.
 */
export async function leakyQuery(db: Queryable, _shopId: string): Promise<RefundRow[]> {
  const { rows } = await db.query<RefundRow>(
    `select o.id::text as id, c.shop_id::text as shop_id, c.name as customer
     from orders o join customers c on c.id = o.customer_id
     where o.status = 'refunded' order by o.id desc limit 50`,
  );
  return rows;
}

/** The same report after the fix. */
export async function fixedQuery(db: Queryable, shopId: string): Promise<RefundRow[]> {
  const { rows } = await db.query<RefundRow>(
    `select o.id::text as id, c.shop_id::text as shop_id, c.name as customer
     from customers c join orders o on o.customer_id = c.id
     where c.shop_id = $1::bigint and o.status = 'refunded' order by o.id desc limit 50`,
    [shopId],
  );
  return rows;
}

/** An order of another shop, asked for by its id as a forged link would. Finds it while nothing keeps shops apart. */
export async function readOrder(db: Queryable, orderId: string): Promise<RefundRow[]> {
  const { rows } = await db.query<RefundRow>(
    `select o.id::text as id, c.shop_id::text as shop_id, c.name as customer
     from orders o join customers c on c.id = o.customer_id where o.id = $1::bigint`,
    [orderId],
  );
  return rows;
}
