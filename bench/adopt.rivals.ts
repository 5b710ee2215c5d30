import type pg from 'pg';

// What people do by hand. Both get the column and the filled root for nothing, and no trigger keeps the rows right meanwhile:
// neither could run beside an application that writes.

interface Route {
  readonly table: string;
  readonly key: string;
  readonly parent: string;
  /** Columns of the primary key; none: batches by place. */
  readonly primaryKey: readonly string[];
}

const routes: readonly Route[] = [
  { table: 'staff', key: 'shop_id', parent: 'shops', primaryKey: ['id'] },
  { table: 'customers', key: 'shop_id', parent: 'shops', primaryKey: ['id'] },
  { table: 'products', key: 'shop_id', parent: 'shops', primaryKey: ['id'] },
  { table: 'daily_sales', key: 'shop_id', parent: 'shops', primaryKey: ['shop_id', 'day'] },
  { table: 'orders', key: 'customer_id', parent: 'customers', primaryKey: ['id'] },
  { table: 'order_lines', key: 'order_id', parent: 'orders', primaryKey: ['order_id', 'line'] },
  { table: 'payments', key: 'order_id', parent: 'orders', primaryKey: ['id'] },
  { table: 'shipments', key: 'order_id', parent: 'orders', primaryKey: ['id'] },
  { table: 'stock_moves', key: 'product_id', parent: 'products', primaryKey: [] },
];

export async function prepareByHand(db: pg.Pool): Promise<void> {
  for (const table of ['shops', ...routes.map((route) => route.table)]) {
    await db.query(`alter table ${table} add column tenant_id uuid`);
  }
  await db.query('update shops set tenant_id = tenantry.uuidv7()');
}

/** (a) One UPDATE per table. */
export async function plainUpdate(db: pg.Pool): Promise<number> {
  let rows = 0;
  for (const { table, key, parent } of routes) {
    const done = await db.query(
      `update ${table} t set tenant_id = p.tenant_id from ${parent} p where p.id = t.${key} and t.tenant_id is null`,
    );
    rows += done.rowCount ?? 0;
  }
  return rows;
}

const batch = 10_000;

/** (b) Batches of 10,000 rows by primary key, each in a transaction of its own. */
export async function keysetBatches(db: pg.Pool): Promise<number> {
  let rows = 0;
  for (const route of routes) rows += await (route.primaryKey.length > 0 ? byKey(db, route) : byPlace(db, route));
  return rows;
}

async function byKey(db: pg.Pool, { table, key, parent, primaryKey }: Route): Promise<number> {
  const columns = primaryKey.map((column) => `t.${column}`).join(', ');
  const types = (
    await db.query<{ type: string }>(
      `select format_type(a.atttypid, a.atttypmod) as type from unnest($2::text[]) with ordinality c(name, o)
       join pg_attribute a on a.attrelid = $1::regclass and a.attname = c.name order by c.o`,
      [table, primaryKey],
    )
  ).rows.map(({ type }) => type);
  const place = (first: number): string => types.map((type, i) => `$${first + i}::${type}`).join(', ');
  let from: unknown[] | undefined;
  let rows = 0;
  for (;;) {
    const after = from === undefined ? 'true' : `(${columns}) > (${place(1)})`;
    const found = await db.query<Record<string, string>>(
      `select ${primaryKey.map((column, i) => `t.${column}::text as k${i}`).join(', ')} from ${table} t where ${after} order by ${columns} limit 1 offset ${batch - 1}`,
      from,
    );
    const to = found.rows[0] === undefined ? undefined : primaryKey.map((_, i) => found.rows[0]?.[`k${i}`]);
    const values = [...(from ?? []), ...(to ?? [])];
    const until = to === undefined ? 'true' : `(${columns}) <= (${place((from?.length ?? 0) + 1)})`;
    const done = await db.query(
      `update ${table} t set tenant_id = p.tenant_id from ${parent} p where p.id = t.${key} and ${after} and ${until} and t.tenant_id is null`,
      values,
    );
    rows += done.rowCount ?? 0;
    if (to === undefined) return rows;
    from = to;
  }
}

/** A table without a primary key: the same number of rows by the pages they are in. */
async function byPlace(db: pg.Pool, { table, key, parent }: Route): Promise<number> {
  const { rows: facts } = await db.query<{ pages: number; perPage: number }>(
    `select (pg_relation_size($1::regclass) / current_setting('block_size')::bigint)::int as pages,
            greatest(1, (select count(*) from ${table} where ctid < '(20,0)') / 20)::int as "perPage"`,
    [table],
  );
  const { pages, perPage } = facts[0] ?? { pages: 0, perPage: 1 };
  const step = Math.max(1, Math.round(batch / perPage));
  let rows = 0;
  for (let page = 0; page < pages; page += step) {
    const done = await db.query(
      `update ${table} t set tenant_id = p.tenant_id from ${parent} p where p.id = t.${key} and t.tenant_id is null
       and t.ctid >= '(${page},0)' and t.ctid < '(${page + step},0)'`,
    );
    rows += done.rowCount ?? 0;
  }
  return rows;
}
