import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { tenantry } from '../../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';
import { generatePrismaClient } from '../../support/prisma.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('types of the tenant columns', () => {
  let db: TestDatabase;
  let pool: pg.Pool;
  let folder: string;
  const adopt = (...argv: string[]) => tenantry(['adopt', ...argv], { DATABASE_URL: db.adminUrl });

  beforeAll(async () => {
    // inside node_modules: there the compiler finds drizzle and kysely
    folder = await mkdtemp(`${root}node_modules/.tenantry-types-`);
    db = await createTestDatabase();
    pool = new pg.Pool({ connectionString: db.adminUrl, max: 3 });
    await db.query(`
      create schema "Sales";
      create table public.shops (id bigint primary key, name text not null);
      create table public.orders (id bigint primary key, shop_id bigint not null references public.shops (id));
      create table public.leads (id bigint primary key, shop_id bigint references public.shops (id));
      create table "Sales"."Order Line's" (id bigint primary key, order_id bigint not null references public.orders (id));
      create table public.countries (code text primary key);
      insert into public.shops values (1, 'One'); insert into public.orders values (1, 1);`);
    const plan = join(folder, 'plan.yaml');
    await adopt('plan', '--root', 'public.shops', '--file', plan);
    await writeFile(plan, (await readFile(plan, 'utf8')).replace('class: undecided', 'class: shared'));
    expect(await adopt('run', '--file', plan, '--to', 'backfill')).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    await pool.end();
    await db.drop();
    await rm(folder, { recursive: true, force: true });
  });

  /** One run of the compiler for all files: what it says of each, by name. */
  const compile = async (files: Readonly<Record<string, string>>): Promise<string> => {
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
    const options =
      '--ignoreConfig --noEmit --strict --exactOptionalPropertyTypes --noUncheckedIndexedAccess --skipLibCheck --target es2023 --module nodenext --moduleResolution nodenext --allowImportingTsExtensions --verbatimModuleSyntax --noUnusedLocals';
    try {
      await promisify(execFile)(
        process.execPath,
        [`${root}node_modules/typescript/bin/tsc`, ...options.split(' '), '--types', 'node', ...Object.keys(files)],
        { cwd: folder },
      );
      return '';
    } catch (error) {
      return (error as { stdout: string }).stdout;
    }
  };

  /** The right file has no error, the wrong one exactly what it is wrong about. */
  const expectCompiled = async (name: string, right: string, wrong: string, complaint: string): Promise<void> => {
    const said = (await compile({ [`${name}-use.ts`]: right, [`${name}-wrong.ts`]: wrong }))
      .split('\n')
      .filter((line) => /^\S/.test(line));
    expect(said).toEqual([expect.stringContaining(complaint)]);
    expect(said[0]).toContain(`${name}-wrong.ts`);
  };

  test('B7: Drizzle: compiles, inserts without the tenant, and reads it', async () => {
    const out = join(folder, 'drizzle-columns.ts');
    expect(await adopt('types', '--format', 'drizzle', '--out', out)).toMatchObject({
      code: 0,
      out: `wrote ${out}: the tenant column of 4 tables\n`,
    });
    const use = `import { bigint, pgSchema, pgTable, text } from 'drizzle-orm/pg-core';
import { tenantColumns } from './drizzle-columns.ts';
export const orders = pgTable('orders', { id: bigint('id', { mode: 'number' }).primaryKey(), shopId: bigint('shop_id', { mode: 'number' }).notNull(), ...tenantColumns.orders });
export const leads = pgTable('leads', { id: bigint('id', { mode: 'number' }).primaryKey(), ...tenantColumns.leads });
export const lines = pgSchema('Sales').table("Order Line's", { id: bigint('id', { mode: 'number' }).primaryKey(), ...tenantColumns["Sales.Order Line's"] });
const insert: typeof orders.$inferInsert = { id: 2, shopId: 1 };
const tenant: string = ({} as typeof orders.$inferSelect).tenantId;
const none: string | null = ({} as typeof leads.$inferSelect).tenantId;
void [insert, tenant, none, text];
`;
    await expectCompiled(
      'drizzle',
      use,
      use.replace('const none: string | null', 'const none: string'),
      "Type 'string | null' is not assignable",
    );

    const { drizzle } = await import('drizzle-orm/node-postgres');
    const { orders } = (await import(pathToFileURL(join(folder, 'drizzle-use.ts')).href)) as { orders: never };
    const [row] = (await drizzle(pool)
      .insert(orders)
      .values({ id: 2, shopId: 1 } as never)
      .returning()) as { tenantId: string }[];
    expect(await db.query('select key from tenantry.organizations where id = $1', [row!.tenantId])).toEqual([
      { key: '1' },
    ]);
  });

  test('B7: Kysely: compiles, takes inserts without the tenant, and knows where it may be null', async () => {
    const out = join(folder, 'kysely-columns.ts');
    expect((await adopt('types', '--format', 'kysely', '--out', out)).code).toBe(0);
    const use = `import { Kysely } from 'kysely';
import type { WithTenants } from './kysely-columns.ts';
interface Database { orders: { id: number; shop_id: number; tenant_id: number }; leads: { id: number }; countries: { code: string }; "Sales.Order Line's": { id: number } }
export async function use(db: Kysely<WithTenants<Database>>): Promise<string> {
  await db.insertInto('orders').values({ id: 3, shop_id: 1 }).execute();
  await db.insertInto('leads').values({ id: 3, tenant_id: null }).execute();
  const lead = await db.selectFrom('leads').select('tenant_id').executeTakeFirstOrThrow();
  const none: string | null = lead.tenant_id;
  const line = await db.selectFrom("Sales.Order Line's").select('tenant_id').executeTakeFirstOrThrow();
  const order = await db.selectFrom('orders').select('tenant_id').executeTakeFirstOrThrow();
  void none;
  return line.tenant_id + order.tenant_id.toUpperCase();
}
`;
    await expectCompiled(
      'kysely',
      use,
      use.replace("selectFrom('orders').select", "selectFrom('countries').select"),
      'No overload matches this call',
    );
  });

  test('B7: Prisma: the field goes into each model, the schema is valid, and a create without the tenant gets it', async () => {
    const schema = join(folder, 'schema.prisma');
    await writeFile(
      schema,
      `generator client {
  provider = "prisma-client"
}

datasource db {
  provider = "postgresql"
  schemas  = ["public", "Sales"]
}

// the shops
model Shop {
  id   BigInt @id
  name String

  @@map("shops")
  @@schema("public")
}

model orders {
  id      BigInt @id
  shop_id BigInt
  @@schema("public")
}

model Line {
  id      BigInt @id
  orderId BigInt @map("order_id")

  @@map(name: "Order Line's")
  @@schema("Sales")
}

model countries {
  code String @id

  @@schema("public")
}
`,
    );
    const result = await adopt('types', '--format', 'prisma', '--schema', schema, '--out', schema);
    expect(result).toMatchObject({ code: 0, err: 'no model for leads\n' });
    const text = await readFile(schema, 'utf8');
    const field = '  tenantId String @default(dbgenerated()) @map("tenant_id") @db.Uuid';
    expect(text.split('\n').filter((line) => line === field)).toHaveLength(3);
    expect(text).toContain(`  name String\n${field}\n\n  @@map("shops")`);
    // again: nothing changes
    await adopt('types', '--format', 'prisma', '--schema', schema, '--out', schema);
    expect(await readFile(schema, 'utf8')).toBe(text);

    const { PrismaClient } = await generatePrismaClient(pathToFileURL(schema));
    const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: db.adminUrl }) }) as {
      orders: { create(input: object): Promise<{ tenantId: string }> };
      $disconnect(): Promise<void>;
    };
    const row = await client.orders.create({ data: { id: 4n, shop_id: 1n } });
    await client.$disconnect();
    expect(row.tenantId).toMatch(/^[0-9a-f-]{36}$/);
    const lines = await adopt('types', '--format', 'prisma');
    expect(lines.out).toContain('// leads\n  tenantId String? @map("tenant_id") @db.Uuid\n');
  });

  test('B7: a constant tenant has its default, and wrong arguments are named', async () => {
    const other = await createTestDatabase();
    try {
      await other.query('create table public.a (id int primary key)');
      const plan = join(folder, 'constant.yaml');
      const environment = { DATABASE_URL: other.adminUrl };
      expect((await tenantry(['adopt', 'types', '--format', 'drizzle'], environment)).err).toContain(
        'There is no adoption, and no plan',
      );
      await tenantry(['adopt', 'plan', '--constant', 'One', '--column', 'owner_ref', '--file', plan], environment);
      const types = (format: string) => tenantry(['adopt', 'types', '--format', format, '--file', plan], environment);
      expect((await types('drizzle')).out).toContain(
        "const tenant = () => uuid('owner_ref').notNull().default(sql`tenantry.adopt_default_tenant()`);",
      );
      expect((await types('prisma')).out).toContain(
        'ownerRef String @default(dbgenerated("tenantry.adopt_default_tenant()")) @map("owner_ref") @db.Uuid',
      );
      expect((await types('kysely')).out).toContain('  a: { owner_ref: Tenant };');
      expect(await types('rails')).toMatchObject({
        code: 2,
        err: expect.stringContaining('--format must be one of: drizzle, prisma, kysely'),
      });
    } finally {
      await other.drop();
    }
  });
});
