import type { Queryable, Row } from '../../database/sql.ts';
import { shopSchema, shopTables, shopTriggers } from './schema.ts';

export interface SampleShopOptions {
  /** Rows over all tables, at least; 200,000 by default. */
  readonly rows?: number;
  /** The same seed gives the same rows. Default 1. */
  readonly seed?: number;
}

export interface SampleShop {
  readonly rows: number;
  readonly shops: number;
  readonly byTable: Readonly<Record<string, number>>;
}

/** A number in [0, 1) from a row number: the same on every server and version. `salt` tells columns apart. */
const random = (i: string, salt: number): string =>
  `(((((${i})::bigint * 2654435761 + $1::bigint * 97 + ${salt} * 40503) % 4294967296) * 1664525 + 1013904223) % 4294967296)::float8 / 4294967296.0`;

const firstNames = `array['Ada','Ben','Chloe','Deniz','Elena','Farid','Grace','Hugo','Ines','Jonas','Kira','Liam','Mona','Nils','Olga','Pablo']`;
const lastNames = `array['Abel','Berg','Costa','Dumont','Eriksen','Fischer','Garcia','Haddad','Ito','Jansen','Kaya','Lopez','Meyer','Novak','Okafor','Petrov']`;
const cities = `array['Berlin','Porto','Lyon','Aarhus','Graz','Ghent','Turin','Malmo']`;
const things = `array['Lamp','Chair','Kettle','Rug','Desk','Mirror','Vase','Stool','Clock','Shelf']`;
const tints = `array['red','oak','steel','blue','glass','linen','black','green']`;

/**
 * Creates the single-tenant sample shop: twelve tables, deterministic rows, shops of very different size. The connection's login
 * becomes the owner; tables go into the first schema of its search_path.
 */
export async function createSampleShop(
  client: Queryable,
  { rows = 200_000, seed = 1 }: SampleShopOptions = {},
): Promise<SampleShop> {
  const part = (share: number, least: number): number => Math.max(least, Math.ceil(rows * share));
  const shops = Math.min(500, Math.max(4, Math.round(rows / 5000)));
  const perShop = Math.max(3, Math.floor(part(0.05, 12) / shops));
  const customers = part(0.1, 40);
  const orders = part(0.2, 80);
  await client.query(shopSchema);
  const fill = async (text: string, ...values: number[]): Promise<void> => {
    await client.query(text, [seed, ...values]);
  };
  await client.query(
    `insert into countries values ('DE', 'Germany'), ('PT', 'Portugal'), ('FR', 'France'), ('DK', 'Denmark'), ('AT', 'Austria'), ('BE', 'Belgium'), ('IT', 'Italy'), ('SE', 'Sweden')`,
  );
  await client.query(`insert into schema_migrations values ('2024_01_first_shop'), ('2025_06_many_shops')`);
  // names differ: the first column tells i modulo 16, the second the rest up to 256
  await fill(
    `insert into shops (name, created_at)
     select (${lastNames})[1 + (i * 7 + $1::int) % 16] || ' & ' || (${firstNames})[1 + (i / 16 + i * 3) % 16] || case when i > 255 then ' ' || (i / 256 + 1) else '' end,
            timestamptz '2024-01-01' + i * interval '1 day'
     from generate_series(1, $2::int) i`,
    shops,
  );
  await fill(
    `insert into staff (shop_id, email, name)
     select 1 + (i - 1) % $2::int, 'staff' || i || '@example.com', (${firstNames})[1 + (${random('i', 3)} * 16)::int % 16]
     from generate_series(1, $2::int * 3) i`,
    shops,
  );
  await fill(
    `insert into products (shop_id, sku, title, price_cents, stock)
     select 1 + (i - 1) % $2::int, 'SKU-' || ((i - 1) / $2::int + 1),
            (${things})[1 + (${random('i', 4)} * 10)::int % 10] || ', ' || (${tints})[1 + (${random('i', 5)} * 8)::int % 8], 500 + (${random('i', 6)} * 20000)::int, 1000
     from generate_series(1, $2::int * $3::int) i`,
    shops,
    perShop,
  );
  // squared, so that the first shops are many times the size of the last ones
  await fill(
    `insert into customers (shop_id, country, email, name, city, updated_at)
     select 1 + floor(power(${random('i', 7)}, 2) * $2::int)::int, (array['DE','PT','FR','DK','AT','BE','IT','SE'])[1 + i % 8], 'customer' || i || '@example.com',
            (${firstNames})[1 + (${random('i', 8)} * 16)::int % 16] || ' ' || (${lastNames})[1 + (${random('i', 9)} * 16)::int % 16],
            (${cities})[1 + i % 8], timestamptz '2025-01-01' + i * interval '1 minute'
     from generate_series(1, $3::int) i`,
    shops,
    customers,
  );
  await fill(
    `insert into orders (customer_id, staff_id, status, placed_at)
     select c.id, case when i % 3 = 0 then c.shop_id end, (array['open','paid','sent','sent','sent','refunded'])[1 + (${random('i', 10)} * 6)::int % 6],
            timestamptz '2025-02-01' + i * interval '1 minute'
     from generate_series(1, $2::int) i join customers c on c.id = 1 + floor(${random('i', 11)} * $3::int)::int`,
    orders,
    customers,
  );
  await fill(
    `insert into order_lines (order_id, line, product_id, quantity, price_cents)
     select o.id, l, c.shop_id + $2::int * floor(${random('o.id * 7 + l', 12)} * $3::int)::int, 1 + (o.id + l)::int % 4, 500 + ((o.id * 37 + l) % 20000)::int
     from orders o join customers c on c.id = o.customer_id cross join lateral generate_series(1, 1 + (o.id % 3)::int) l`,
    shops,
    perShop,
  );
  await fill(
    `insert into payments (order_id, amount_cents, method, paid_at)
     select o.id, 1000 + ((o.id * 53 + $1::bigint) % 40000)::int, (array['card','transfer','cash'])[1 + (o.id % 3)::int], o.placed_at + interval '1 hour' from orders o where o.status <> 'open'`,
  );
  await fill(
    `insert into shipments (order_id, carrier, tracking)
     select o.id, (array['Hermes','Posti','Correos'])[1 + (o.id % 3)::int], 'T' || $1::bigint || '-' || o.id from orders o where o.status = 'sent'`,
  );
  await fill(
    `insert into stock_moves (product_id, delta, moved_at)
     select l.product_id, -l.quantity, timestamptz '2025-02-01' + ((l.order_id * 3 + l.line + $1::bigint) % 500000) * interval '1 minute' from order_lines l where l.order_id % 5 < 2`,
  );
  await client.query(
    `insert into daily_sales (shop_id, day, orders, revenue_cents)
     select c.shop_id, (o.placed_at at time zone 'UTC')::date, count(*), sum(p.amount_cents)
     from orders o join customers c on c.id = o.customer_id join payments p on p.order_id = o.id group by 1, 2`,
  );
  await client.query(shopTriggers);
  return count(client, shops);
}

async function count(client: Queryable, shops: number): Promise<SampleShop> {
  const { rows } = await client.query<Row & { name: string; rows: number }>(
    shopTables.map((name) => `select '${name}' as name, count(*)::float8 as rows from ${name}`).join(' union all '),
  );
  const byTable = Object.fromEntries(rows.map((row) => [row.name, row.rows]));
  return { rows: rows.reduce((sum, row) => sum + row.rows, 0), shops, byTable };
}
