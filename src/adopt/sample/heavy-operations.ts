import { copiedDelta } from './ledger.ts';
import type { Operation } from './operations.ts';

const pick = <T>(list: readonly T[], turn: number): T | undefined => list[turn % Math.max(list.length, 1)];

/** What makes a live retrofit hard and a demonstration slow: soft deletes, COPY, rows that change shops, the nightly job. */
export const heavyOperations: readonly Operation[] = [
  {
    name: 'delete order softly',
    async run(db, shop, ledger) {
      shop.turn += 1;
      const id = pick(shop.orders, shop.turn);
      if (id === undefined) return undefined;
      await db.query('update orders set deleted_at = now() where id = $1 and deleted_at is null', [id]);
      ledger.deleted.add(id);
      return undefined;
    },
  },
  {
    name: 'copy stock moves',
    async run(db, shop, ledger) {
      shop.turn += 1;
      const product = pick(shop.products, shop.turn) ?? '';
      const lines = [1, 2, 3].map(() => `${product}\t${copiedDelta}`);
      await db.copy('stock_moves', ['product_id', 'delta'], lines);
      ledger.copied.set(product, (ledger.copied.get(product) ?? 0) + lines.length);
      return undefined;
    },
  },
  {
    name: 'give staff to another shop',
    crossesShops: true,
    async run(db, shop, _ledger, other) {
      // those whose number is their shop's sell: moved, they would make an order contradict itself
      await db.query(
        `update staff set shop_id = $2 where id = (
           select s.id from staff s where s.shop_id = $1 and s.id <> s.shop_id order by s.id limit 1)`,
        [shop.id, other.id],
      );
      return undefined;
    },
  },
  {
    name: 'sell a product line to another shop',
    crossesShops: true,
    async run(db, shop, _ledger, other) {
      shop.turn += 1;
      // its moves go with it: rows change shops that no statement of the application names
      await db.transaction(async (tx) => {
        const [product] = await tx.query<{ id: string }>(
          `insert into products (shop_id, sku, title, price_cents, stock) values ($1, $2, 'Lot', 100, 1)
           on conflict (shop_id, sku) do update set stock = products.stock + 1 returning id::text as id`,
          [shop.id, `LOT-${shop.turn % 7}`],
        );
        await tx.query('insert into stock_moves (product_id, delta) values ($1, 1)', [product?.id]);
        await tx.query(`update products set shop_id = $2, sku = 'LOT-' || id where id = $1`, [product?.id, other.id]);
      });
      return undefined;
    },
  },
];

/**
 * A report over every shop, and a pass over many customers in one statement. One client runs it, now and then. It is the old
 * application's: inside one tenant's context it would read every shop while its tables are not enforced yet, and be refused when
 * it writes another shop's row into one that is.
 */
export const nightlyJob: Operation = {
  name: 'nightly job',
  async run(db, shop) {
    shop.turn += 1;
    await db.query(salesReport());
    await db.query('update customers set name = name where id % 100 = $1::bigint', [shop.turn % 100]);
    return undefined;
  },
};

/** The same of one shop, as the next version runs it: once for each shop, in that shop's context, and only of that shop's rows. */
export const nightlyJobOfShop: Operation = {
  name: 'nightly job of a shop',
  async run(db, shop) {
    shop.turn += 1;
    await db.query(salesReport('and c.shop_id = $1'), [shop.id]);
    await db.query('update customers set name = name where id % 100 = $1::bigint and shop_id = $2', [
      shop.turn % 100,
      shop.id,
    ]);
    return undefined;
  },
};

const salesReport = (condition = ''): string =>
  `insert into daily_sales (shop_id, day, orders, revenue_cents)
   select c.shop_id, (o.placed_at at time zone 'UTC')::date, count(*), sum(p.amount_cents)
   from orders o join customers c on c.id = o.customer_id join payments p on p.order_id = o.id
   where o.placed_at > now() - interval '1 day' and o.deleted_at is null ${condition} group by 1, 2
   on conflict (shop_id, day) do update set orders = excluded.orders, revenue_cents = excluded.revenue_cents`;
