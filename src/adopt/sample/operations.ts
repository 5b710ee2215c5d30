import type { Row } from '../../database/sql.ts';
import type { Ledger } from './ledger.ts';

/** What a request may do; each call is one statement. */
export interface Statements {
  query<R extends Row = Row>(text: string, values?: readonly unknown[]): Promise<R[]>;
  /** A named prepared statement. */
  named<R extends Row = Row>(name: string, text: string, values?: readonly unknown[]): Promise<R[]>;
  transaction<T>(fn: (tx: Statements) => Promise<T>): Promise<T>;
  /** Rows by COPY; lines are in its text format. */
  copy(table: string, columns: readonly string[], lines: readonly string[]): Promise<void>;
}

/** A shop as the application's memory knows it. */
export interface ShopState {
  readonly id: string;
  readonly customers: readonly string[];
  readonly products: readonly string[];
  /** Orders that this workload placed and did not delete. */
  readonly orders: string[];
  turn: number;
}

export interface Operation {
  readonly name: string;
  /** Makes a new root row. */
  readonly opensShop?: boolean;
  /** Moves rows to another shop: nothing that a shop's own request does. */
  readonly crossesShops?: boolean;
  run(db: Statements, shop: ShopState, ledger: Ledger, other: ShopState): Promise<ShopState[] | undefined>;
}

type Id = Row & { id: string };
const pick = <T>(list: readonly T[], turn: number): T | undefined => list[turn % Math.max(list.length, 1)];
const cities = ['Oslo', 'Bonn', 'Faro', 'Nice', 'Linz', 'Bari'];

/** The requests of the old application. None names a tenant; the new version sends the same statements inside a context. */
export const operations: readonly Operation[] = [
  {
    name: 'list products',
    async run(db, shop) {
      await db.named('products_of_shop', 'select * from products where shop_id = $1 order by id limit 20', [shop.id]);
      return undefined;
    },
  },
  {
    name: 'read customer',
    async run(db, shop) {
      await db.query(
        `select c.id, c.name, c.city, count(o.id)::int as orders from customers c left join orders o on o.customer_id = c.id
         where c.id = $1 group by c.id`,
        [pick(shop.customers, shop.turn)],
      );
      return undefined;
    },
  },
  {
    name: 'place order',
    async run(db, shop, ledger) {
      shop.turn += 1;
      const id = await db.transaction(async (tx) => {
        const [order] = await tx.query<Id>(
          `insert into orders (customer_id, status) values ($1, 'paid') returning id::text as id`,
          [pick(shop.customers, shop.turn)],
        );
        for (const line of [1, 2]) {
          await tx.query(
            `insert into order_lines (order_id, line, product_id, quantity, price_cents)
             select $1, $2, p.id, 1, p.price_cents from products p where p.id = $3`,
            [order?.id, line, pick(shop.products, shop.turn + line)],
          );
        }
        await tx.query(`insert into payments (order_id, amount_cents, method) values ($1, 1990, 'card')`, [order?.id]);
        return order?.id ?? '';
      });
      shop.orders.push(id);
      ledger.orders.set(id, 2);
      return undefined;
    },
  },
  {
    name: 'ship before the order',
    async run(db, shop, ledger) {
      shop.turn += 1;
      const id = await db.transaction(async (tx) => {
        const [next] = await tx.query<Id>(`select nextval(pg_get_serial_sequence('orders', 'id'))::text as id`);
        // the key is deferred: the shipment comes before its order
        await tx.query(
          `insert into shipments (order_id, carrier, tracking) values ($1::bigint, 'Posti', 'W-' || $1::text)`,
          [next?.id],
        );
        await tx.query(`insert into orders (id, customer_id, status) values ($1, $2, 'sent')`, [
          next?.id,
          pick(shop.customers, shop.turn),
        ]);
        return next?.id ?? '';
      });
      shop.orders.push(id);
      ledger.orders.set(id, 0);
      return undefined;
    },
  },
  {
    name: 'move customer',
    async run(db, shop, ledger) {
      shop.turn += 1;
      const customer = pick(shop.customers, shop.turn) ?? '';
      const city = pick(cities, shop.turn) ?? '';
      // as for orders below: an update that fails may have been committed
      ledger.cities.delete(customer);
      await db.query('update customers set city = $2 where id = $1', [customer, city]);
      ledger.cities.set(customer, city);
      return undefined;
    },
  },
  {
    name: 'give order to another customer',
    async run(db, shop) {
      shop.turn += 1;
      await db.query('update orders set customer_id = $2 where id = $1', [
        pick(shop.orders, shop.turn) ?? null,
        pick(shop.customers, shop.turn),
      ]);
      return undefined;
    },
  },
  {
    name: 'restock',
    async run(db, shop) {
      shop.turn += 1;
      await db.query(
        `insert into products (shop_id, sku, title, price_cents, stock) values ($1, $2, 'Lamp, new', 2500, 10)
         on conflict (shop_id, sku) do update set stock = products.stock + excluded.stock`,
        [shop.id, `NEW-${shop.turn % 5}`],
      );
      return undefined;
    },
  },
  {
    name: 'register customer',
    async run(db, shop) {
      shop.turn += 1;
      await db.query(
        `insert into customers (shop_id, country, email, name, city) values ($1, 'DE', $2, 'New Customer', 'Kiel') on conflict do nothing`,
        [shop.id, `new${shop.turn % 50}@example.com`],
      );
      return undefined;
    },
  },
  {
    name: 'cancel order',
    async run(db, shop, ledger) {
      const id = shop.orders.length > 5 ? shop.orders.shift() : undefined;
      if (id === undefined) return undefined;
      // forgotten before it is deleted: whether a request that fails had committed cannot be known
      ledger.orders.delete(id);
      await db.query('delete from orders where id = $1', [id]);
      return undefined;
    },
  },
  {
    name: 'revenue',
    async run(db, shop) {
      await db.query(
        `select count(*)::int as orders, sum(p.amount_cents)::float8 as cents
         from (select id from customers where shop_id = $1 order by id limit 20) c join orders o on o.customer_id = c.id join payments p on p.order_id = o.id`,
        [shop.id],
      );
      return undefined;
    },
  },
  {
    name: 'open shop',
    opensShop: true,
    async run(db) {
      const [made] = await db.query<Row & { shop: string; customer: string; product: string }>(
        `with s as (insert into shops (name) values ('Pop-up') returning id),
              c as (insert into customers (shop_id, country, email, name, city) select s.id, 'PT', 'first@example.com', 'First Customer', 'Porto' from s returning id),
              p as (insert into products (shop_id, sku, title, price_cents, stock) select s.id, 'SKU-1', 'Lamp, red', 900, 5 from s returning id)
         select s.id::text as shop, c.id::text as customer, p.id::text as product from s, c, p`,
      );
      if (made === undefined) return undefined;
      return [{ id: made.shop, customers: [made.customer], products: [made.product], orders: [], turn: 0 }];
    },
  },
];
