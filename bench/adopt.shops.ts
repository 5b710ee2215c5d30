import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createSampleShop } from '../src/adopt/sample/index.ts';
import type { BenchServer } from './frame.ts';

/** The sample shop in a database that is copied for each thing that is measured. */
export interface ShopTemplate {
  readonly rows: number;
  readonly byTable: Readonly<Record<string, number>>;
  readonly bytes: number;
  copy(): Promise<ShopCopy>;
}

export interface ShopCopy {
  /** The migrating login's, enough for a run. */
  readonly admin: pg.Pool;
  /** The old application's login. */
  readonly shopUrl: string;
  /** The migrating login's. */
  readonly adminUrl: string;
  /** A superuser in this database: sees every session. */
  readonly superuser: pg.Pool;
  /** Seconds of processor time of the server, with all that it has run. */
  processor(): number;
  drop(): Promise<void>;
}

const at = (url: string, database: string): string => Object.assign(new URL(url), { pathname: `/${database}` }).href;

/** Beside those of the sample: a table that has been in use for years has an index per question that is asked of it. */
const indexes = [
  'customers (country)',
  'customers (city)',
  'orders (staff_id)',
  'orders (placed_at)',
  'order_lines (price_cents)',
  'payments (paid_at)',
  'payments (method)',
  'shipments (carrier)',
  'stock_moves (moved_at)',
];

export async function createShopTemplate(server: BenchServer, rows: number): Promise<ShopTemplate> {
  const template = new URL(server.adminUrl).pathname.slice(1);
  const login = `shop_${randomBytes(4).toString('hex')}`;
  const loginUrl = (database: string): string =>
    Object.assign(new URL(at(server.adminUrl, database)), { username: login, password: 'shop' }).href;
  const admin = new pg.Client({ connectionString: server.adminUrl });
  await admin.connect();
  await admin.query(`create role ${login} login password 'shop'`);
  await admin.query(`grant ${login} to tenantry_admin`);
  await admin.query(`grant create on schema public to ${login}`);
  await admin.end();
  // as the login, but without asking each row for its parents: that is most of the time, and the generator knows
  const owner = new pg.Client({ connectionString: at(server.superuserUrl, template) });
  await owner.connect();
  // what the guide asks for before a large backfill; who fills by hand may have it too
  await owner.query('grant set on parameter wal_compression to tenantry_admin');
  await owner.query(`set session_replication_role = replica; set role ${login}`);
  const shop = await createSampleShop(owner, { rows });
  for (const index of indexes) await owner.query(`create index on ${index}`);
  // as a database that has been in use: all-visible pages, statistics
  await owner.query('vacuum (analyze)');
  const { rows: sizes } = await owner.query<{ bytes: number }>(
    `select sum(pg_total_relation_size(c.oid))::float8 as bytes from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace`,
  );
  await owner.end();
  const root = new pg.Client({ connectionString: at(server.superuserUrl, 'postgres') });
  let copies = 0;
  await root.connect();
  await root.query('checkpoint');
  await root.end();
  return {
    rows: shop.rows,
    byTable: shop.byTable,
    bytes: sizes[0]?.bytes ?? 0,
    async copy() {
      copies += 1;
      const name = `${template}_${copies}`;
      const maker = new pg.Client({ connectionString: at(server.adminUrl, 'postgres') });
      maker.on('error', () => {});
      await maker.connect();
      await maker.query(`create database ${name} template ${template} strategy file_copy`);
      const copy = {
        admin: new pg.Pool({ connectionString: at(server.adminUrl, name), max: 8 }),
        superuser: new pg.Pool({ connectionString: at(server.superuserUrl, name), max: 2 }),
        shopUrl: loginUrl(name),
        adminUrl: at(server.adminUrl, name),
        processor: () => (server.pid === undefined ? Number.NaN : processorTime(server.pid)),
      };
      // dropping the database ends what is left of them
      for (const pool of [copy.admin, copy.superuser]) pool.on('error', () => {});
      return {
        ...copy,
        async drop() {
          await Promise.all([copy.admin.end(), copy.superuser.end()]);
          await maker.end();
          // as a superuser: one of the connections that are about to close is one's
          const root = new pg.Client({ connectionString: at(server.superuserUrl, 'postgres') });
          await root.connect();
          await root.query(`drop database ${name} with (force)`);
          await root.end();
        },
      };
    },
  };
}

/** Works on a copy of the shop, and drops it. */
export async function ofCopy<T>(template: ShopTemplate, work: (copy: ShopCopy) => Promise<T>): Promise<T> {
  const copy = await template.copy();
  try {
    return await work(copy);
  } finally {
    await copy.drop();
  }
}

/** Another migrated database of the server, without a shop as yet: before the first one is made. Stopping it drops it. */
export async function another(server: BenchServer): Promise<BenchServer> {
  const first = new URL(server.adminUrl).pathname.slice(1);
  const run = async (url: string, text: string): Promise<void> => {
    const client = new pg.Client({ connectionString: at(url, 'postgres') });
    await client.connect();
    await client.query(text);
    await client.end();
  };
  await run(server.adminUrl, `create database ${first}_live template ${first}`);
  return {
    ...server,
    adminUrl: at(server.adminUrl, `${first}_live`),
    stop: () => run(server.superuserUrl, `drop database ${first}_live with (force)`),
  };
}

export interface Cost {
  readonly seconds: number;
  readonly rows: number;
  readonly walBytes: number;
  readonly diskBytes: number;
  /** Seconds of the server's processor time: what else the machine does changes it less than the time by the clock. */
  readonly processor: number;
  /** Images of whole pages in the log: one for each page that is changed first after a checkpoint. */
  readonly pageImages: number;
}

/** What `work` took, wrote to the write-ahead log and left on the disk. Starts behind a checkpoint, so that full-page images fall on all alike. */
export async function measureCost(copy: ShopCopy, work: () => Promise<number>): Promise<Cost> {
  const { superuser } = copy;
  const look = async (): Promise<{ lsn: number; bytes: number; images: number; processor: number }> => {
    const { rows } = await superuser.query<{ lsn: number; bytes: number; images: number }>(
      `select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as lsn, (select w.wal_fpi from pg_stat_wal w)::float8 as images,
              sum(pg_total_relation_size(c.oid))::float8 as bytes
       from pg_class c where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace`,
    );
    return { ...(rows[0] ?? { lsn: 0, bytes: 0, images: 0 }), processor: copy.processor() };
  };
  await superuser.query('checkpoint');
  const before = await look();
  const processor = copy.processor();
  const started = performance.now();
  const rows = await work();
  const seconds = (performance.now() - started) / 1000;
  // sessions tell what they did once in a second
  await sleep(1100);
  const after = await look();
  return {
    seconds,
    rows,
    walBytes: after.lsn - before.lsn,
    diskBytes: after.bytes - before.bytes,
    processor: after.processor - processor,
    pageImages: after.images - before.images,
  };
}

/** The shop of every row by the foreign keys alone, joined: rows whose tenant is another or none. */
export async function countWrong({ superuser }: ShopCopy): Promise<{ table: string; rows: number }[]> {
  const joins: Record<string, string> = {
    shops: 'join shops s on s.id = t.id',
    staff: 'join shops s on s.id = t.shop_id',
    customers: 'join shops s on s.id = t.shop_id',
    products: 'join shops s on s.id = t.shop_id',
    daily_sales: 'join shops s on s.id = t.shop_id',
    orders: 'join customers c on c.id = t.customer_id join shops s on s.id = c.shop_id',
    order_lines: 'join products p on p.id = t.product_id join shops s on s.id = p.shop_id',
    payments:
      'join orders o on o.id = t.order_id join customers c on c.id = o.customer_id join shops s on s.id = c.shop_id',
    shipments:
      'join orders o on o.id = t.order_id join customers c on c.id = o.customer_id join shops s on s.id = c.shop_id',
    stock_moves: 'join products p on p.id = t.product_id join shops s on s.id = p.shop_id',
  };
  const wrong: { table: string; rows: number }[] = [];
  for (const [table, join] of Object.entries(joins)) {
    const { rows } = await superuser.query<{ wrong: string }>(
      `select (select count(*) from ${table}) - count(*) filter (where t.tenant_id = o.id) as wrong
       from ${table} t ${join.replaceAll(/\bo\b/g, 'r')} join tenantry.organizations o on o.key = s.id::text`,
    );
    const count = Number(rows[0]?.wrong ?? '-1');
    if (count !== 0) wrong.push({ table, rows: count });
  }
  return wrong;
}

/** Of the server's processes that live and of those that have ended, by /proc. */
function processorTime(postmaster: number): number {
  let ticks = 0;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const own = Number(entry) === postmaster;
      if (!own && fields[1] !== postmaster) continue;
      for (const field of own ? [11, 12, 13, 14] : [11, 12]) ticks += fields[field] ?? 0;
    } catch {
      // the process has ended
    }
  }
  return ticks / 100;
}
