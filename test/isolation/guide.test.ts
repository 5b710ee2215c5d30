import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as tenantry from '../../src/index.ts';
import { createShop, type Shop } from './shop.ts';

const guide = readFileSync(new URL('../../docs/guides/isolation.md', import.meta.url), 'utf8');
const blocks = (language: string) =>
  [...guide.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(([, text = '']) => text);

let shop: Shop;
let pool: tenantry.TenantPool;
const folder = mkdtempSync(join(tmpdir(), 'tenantry-guide-'));
const home = process.cwd();

beforeAll(async () => {
  shop = await createShop(`
    create table public.customers (id int primary key);
    create table public.orders (id int primary key, tenant_id uuid, customer_id int);
    alter table public.orders add constraint orders_customer_fkey foreign key (customer_id) references public.customers (id) not valid;
    create table public.notes (id bigint generated always as identity primary key, title text not null);
  `);
  await shop.isolation.protect('notes');
  pool = tenantry.createPool({ connectionString: shop.db.appUrl, max: 2 });
  writeFileSync(join(folder, 'notes.csv'), 'title\nthird\n"fourth"\n');
  process.chdir(folder);
});
afterAll(async () => {
  process.chdir(home);
  rmSync(folder, { recursive: true, force: true });
  await pool.end();
  await shop.drop();
});

const modules: Record<string, unknown> = { tenantry, pg, 'node:fs': fs };
type Block = (modules: Record<string, unknown>, values: object) => Promise<void>;

/** The examples have no types of their own: as they stand they are JavaScript, but for their imports. */
function compiled(text: string): Block {
  const body = text.replaceAll(/^import (\{.*\}) from '(.*)';$/gm, "const $1 = modules['$2'];");
  const AsyncFunction = (async () => {}).constructor as new (...args: string[]) => Block;
  return new AsyncFunction('modules', '{ t, pool, tenantId, console }', body);
}

describe('docs/guides/isolation.md', () => {
  it('its TypeScript runs in order and does what it says', async () => {
    process.env['DATABASE_URL'] = shop.db.appUrl;
    const said: string[] = [];
    const console = { log: (...args: unknown[]) => void said.push(args.join(' ')) };
    const values = { t: { isolation: shop.isolation }, pool, tenantId: shop.acme, console };
    for (const text of blocks('ts')) await compiled(text)(modules, values);
    const modes = (await shop.isolation.status()).map(({ table, mode }) => `${table} ${mode}`);
    expect(modes).toContain('public.orders enforced');
    expect((await shop.as(shop.acme, 'select title from public.notes order by id')).map(({ title }) => title)).toEqual([
      'first',
      'second',
      'third',
      'fourth',
    ]);
    expect(said).toEqual(['absent There is no such row. public.notes has no such row, for anybody.']);
  });

  it('its forged statement forges: a plain setting does not stop injected SQL', async () => {
    await shop.as(shop.bolt, "insert into public.notes (title) values ('of Bolt')");
    const [forgery = ''] = blocks('sql');
    const rows = await shop.as(shop.acme, forgery.replace('another tenant', shop.bolt));
    expect(rows).toMatchObject([{ title: 'of Bolt' }]);
  });
});
