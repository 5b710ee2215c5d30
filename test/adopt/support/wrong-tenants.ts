import type pg from 'pg';

/** The tenant of every row by statements that know the shop by heart and nothing of the plan: rows whose tenant is another. */
export async function countWrongTenants(db: pg.Pool): Promise<Record<string, number>> {
  const shopOf: Record<string, string> = {
    shops: 'select t.tenant_id, t.id as shop from shops t',
    staff: 'select t.tenant_id, t.shop_id as shop from staff t',
    customers: 'select t.tenant_id, t.shop_id as shop from customers t',
    products: 'select t.tenant_id, t.shop_id as shop from products t',
    orders: 'select t.tenant_id, (select c.shop_id from customers c where c.id = t.customer_id) as shop from orders t',
    order_lines:
      'select t.tenant_id, (select p.shop_id from products p where p.id = t.product_id) as shop from order_lines t',
    payments:
      'select t.tenant_id, (select c.shop_id from customers c join orders o on o.customer_id = c.id where o.id = t.order_id) as shop from payments t',
    shipments:
      'select t.tenant_id, (select c.shop_id from customers c join orders o on o.customer_id = c.id where o.id = t.order_id) as shop from shipments t',
    stock_moves:
      'select t.tenant_id, (select p.shop_id from products p where p.id = t.product_id) as shop from stock_moves t',
    daily_sales: 'select t.tenant_id, t.shop_id as shop from daily_sales t',
  };
  const wrong: Record<string, number> = {};
  for (const [table, text] of Object.entries(shopOf)) {
    const { rows } = await db.query<{ wrong: number }>(
      `select count(*)::int as wrong from (${text}) r where r.tenant_id is distinct from (select o.id from tenantry.organizations o where o.key = r.shop::text)`,
    );
    if (rows[0]!.wrong > 0) wrong[table] = rows[0]!.wrong;
  }
  return wrong;
}
