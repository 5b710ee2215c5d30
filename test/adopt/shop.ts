import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createSampleShop, type SampleShop } from '../../src/adopt/sample/index.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** A database with the sample shop in it, owned by a login of its own, as an old application's is. */
export interface ShopDatabase {
  readonly db: TestDatabase;
  /** Connections of tenantry_admin, enough for a run. */
  readonly pool: pg.Pool;
  readonly shopLogin: string;
  readonly shopUrl: string;
  readonly shop: SampleShop;
  drop(): Promise<void>;
}

export async function createShopDatabase(rows = 2000): Promise<ShopDatabase> {
  const db = await createTestDatabase();
  const shopLogin = `shop_app_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(8).toString('hex');
  await db.query(`create role ${shopLogin} login password '${password}'`);
  await db.query(`grant ${shopLogin} to tenantry_admin`);
  await db.query(`grant create on schema public to ${shopLogin}`);
  const url = new URL(db.adminUrl);
  url.username = shopLogin;
  url.password = password;
  const owner = new pg.Client({ connectionString: url.toString() });
  await owner.connect();
  const shop = await createSampleShop(owner, { rows });
  await owner.end();
  const pool = new pg.Pool({ connectionString: db.adminUrl, max: 8 });
  pool.on('error', () => {});
  return {
    db,
    pool,
    shopLogin,
    shopUrl: url.toString(),
    shop,
    async drop() {
      await pool.end();
      await db.drop();
      const last = new pg.Client({ connectionString: new URL('/postgres', db.superuserUrl).toString() });
      await last.connect();
      await last.query(`drop role if exists ${shopLogin}`);
      await last.end();
    },
  };
}

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
