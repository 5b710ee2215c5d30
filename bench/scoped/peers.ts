import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { PrismaPg } from '@prisma/adapter-pg';
import { and, desc, eq, lte, sql } from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import { bigint, numeric, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core';
import pg from 'pg';

/** A competitor, set up as its own documentation says. */
export interface Peer {
  readonly name: string;
  point(tenant: string, id: number): Promise<readonly { id: unknown }[]>;
  list(tenant: string, upTo: number): Promise<readonly { id: unknown }[]>;
  close(): Promise<void>;
}

const require = createRequire(import.meta.url);
// bench/, from bench/dist/bench/scoped/
const benchFolder = new URL('../../../', import.meta.url).pathname;

const quietPool = (url: string, max: number): pg.Pool => {
  const pool = new pg.Pool({ connectionString: url, max, idleTimeoutMillis: 0 });
  pool.on('error', () => undefined);
  return pool;
};

/** Drizzle: the tenant is set at the beginning of a transaction, and policies do the rest. */
function drizzlePeer(url: string, connections: number): Peer {
  const items = pgTable('items', {
    tenantId: uuid('tenant_id').notNull(),
    id: bigint('id', { mode: 'number' }).notNull(),
    name: text('name').notNull(),
    price: numeric('price').notNull(),
    createdAt: timestamp('created_at', { withTimezone: true }).notNull(),
  });
  const pool = quietPool(url, connections);
  const db = drizzle(pool);
  const columns = { id: items.id, name: items.name, price: items.price, createdAt: items.createdAt };
  const scoped = <T>(
    tenant: string,
    fn: (tx: Parameters<Parameters<typeof db.transaction>[0]>[0]) => Promise<T>,
  ): Promise<T> =>
    db.transaction(async (tx) => {
      await tx.execute(sql`select set_config('app.tenant_id', ${tenant}, true)`);
      return fn(tx);
    });
  return {
    name: 'Drizzle, transaction pattern',
    point: (tenant, id) => scoped(tenant, (tx) => tx.select(columns).from(items).where(eq(items.id, id))),
    list: (tenant, upTo) =>
      scoped(tenant, (tx) =>
        tx
          .select(columns)
          .from(items)
          .where(and(lte(items.id, upTo)))
          .orderBy(desc(items.id))
          .limit(50),
      ),
    close: () => pool.end(),
  };
}

interface ItemQuery {
  findMany(query: object): Promise<{ id: unknown }[]>;
}

/** Prisma: the client extension "row-level-security" of its own examples. */
async function prismaPeer(url: string, connections: number): Promise<Peer> {
  const output = join(benchFolder, 'node_modules', '.items-client');
  if (!existsSync(output)) {
    const schema = readFileSync(join(benchFolder, 'scoped', 'items.prisma'), 'utf8');
    const { mkdirSync, writeFileSync } = await import('node:fs');
    mkdirSync(output, { recursive: true });
    const file = join(output, 'schema.prisma');
    writeFileSync(
      file,
      schema.replace('generator client {', `generator client {\n  output = ${JSON.stringify(output)}`),
    );
    const cli = join(dirname(require.resolve('prisma/package.json')), 'build', 'index.js');
    // the schema engine, which generate does not use, would be downloaded
    const env = {
      ...process.env,
      PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
      CHECKPOINT_DISABLE: '1',
      PRISMA_HIDE_UPDATE_MESSAGE: '1',
    };
    execFileSync(process.execPath, [cli, 'generate', '--schema', file], { cwd: output, env, stdio: 'ignore' });
  }
  const { PrismaClient } = require(output) as { PrismaClient: new (options: object) => PrismaLike };
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url, max: connections }) });
  const forTenant = (tenant: string): { item: ItemQuery } =>
    prisma.$extends({
      query: {
        $allModels: {
          async $allOperations({ args, query }: { args: unknown; query: (args: unknown) => unknown }) {
            const [, result] = await prisma.$transaction([
              prisma.$executeRaw`select set_config('app.tenant_id', ${tenant}, true)`,
              query(args),
            ]);
            return result;
          },
        },
      },
    });
  const select = { id: true, name: true, price: true, createdAt: true };
  return {
    name: 'Prisma, row-level-security extension',
    point: (tenant, id) => forTenant(tenant).item.findMany({ where: { id }, select }),
    list: (tenant, upTo) =>
      forTenant(tenant).item.findMany({ where: { id: { lte: upTo } }, orderBy: { id: 'desc' }, take: 50, select }),
    close: () => prisma.$disconnect(),
  };
}

interface PrismaLike {
  $extends(extension: object): { item: ItemQuery };
  $transaction(queries: unknown[]): Promise<unknown[]>;
  $executeRaw(text: TemplateStringsArray, ...values: unknown[]): unknown;
  $disconnect(): Promise<void>;
}

/** @quxkit/tenant-kit: its own schema, `tenancy.protect` and the scoped executor. */
async function tenantKitPeer(adminUrl: string, url: string, connections: number): Promise<Peer> {
  const folder = join(benchFolder, 'node_modules', '@quxkit', 'tenant-kit');
  const admin = quietPool(adminUrl, 1);
  const { rows } = await admin.query("select to_regclass('items_kit') is not null as there");
  if (!(rows[0] as { there: boolean }).there) {
    for (const file of readdirSync(join(folder, 'sql'))
      .filter((name) => /^00[12].*\.sql$/.test(name))
      .sort()) {
      await admin.query(readFileSync(join(folder, 'sql', file), 'utf8'));
    }
    await admin.query(`create table items_kit (like items_plain including defaults);
      insert into items_kit select * from items_plain;
      alter table items_kit add primary key (tenant_id, id);
      select tenancy.protect('public.items_kit');
      grant select on items_kit to tenantry_app;
      grant usage on schema tenancy to tenantry_app;
      grant execute on all functions in schema tenancy to tenantry_app`);
    await admin.query('vacuum (analyze) items_kit');
  }
  await admin.end();
  type Executor = { query(text: string, values?: unknown[]): Promise<{ id: unknown }[]> };
  const kit = (await import(join(folder, 'dist', 'index.mjs'))) as {
    scopedExecutor(db: Executor, tenant: string): Executor;
  };
  const adapter = (await import(join(folder, 'dist', 'pg.mjs'))) as { pgExecutor(pool: pg.Pool): Executor };
  const pool = quietPool(url, connections);
  const db = adapter.pgExecutor(pool);
  const columns = 'id, name, price, created_at';
  return {
    name: '@quxkit/tenant-kit',
    point: (tenant, id) => kit.scopedExecutor(db, tenant).query(`select ${columns} from items_kit where id = $1`, [id]),
    list: (tenant, upTo) =>
      kit
        .scopedExecutor(db, tenant)
        .query(`select ${columns} from items_kit where id <= $1 order by id desc limit 50`, [upTo]),
    close: () => pool.end(),
  };
}

/** ZenStack: the policy plugin adds the tenant to each statement. The schema is what `zen generate` writes. */
async function zenStackPeer(url: string, connections: number): Promise<Peer> {
  const orm = (await import(require.resolve('@zenstackhq/orm'))) as {
    ZenStackClient: new (schema: object, options: object) => ZenStackLike;
  };
  const { PostgresDialect } = (await import(require.resolve('@zenstackhq/orm/dialects/postgres'))) as {
    PostgresDialect: new (options: object) => object;
  };
  const { PolicyPlugin } = (await import(require.resolve('@zenstackhq/plugin-policy'))) as {
    PolicyPlugin: new () => object;
  };
  const pool = quietPool(url, connections);
  const column = (name: string, type: string, mapped?: string): object => ({
    name,
    type,
    ...(mapped === undefined
      ? {}
      : { attributes: [{ name: '@map', args: [{ name: 'name', value: { kind: 'literal', value: mapped } }] }] }),
  });
  const sameTenant = {
    kind: 'binary',
    op: '==',
    left: { kind: 'field', field: 'tenantId' },
    right: { kind: 'member', receiver: { kind: 'call', function: 'auth' }, members: ['tenantId'] },
  };
  const schema = {
    provider: { type: 'postgresql' },
    models: {
      Item: {
        name: 'Item',
        fields: {
          tenantId: { ...column('tenantId', 'String', 'tenant_id'), id: true },
          id: { ...column('id', 'BigInt'), id: true },
          name: column('name', 'String'),
          price: column('price', 'Decimal'),
          createdAt: column('createdAt', 'DateTime', 'created_at'),
        },
        attributes: [
          { name: '@@map', args: [{ name: 'name', value: { kind: 'literal', value: 'items_plain' } }] },
          {
            name: '@@allow',
            args: [
              { name: 'operation', value: { kind: 'literal', value: 'all' } },
              { name: 'condition', value: sameTenant },
            ],
          },
        ],
        idFields: ['tenantId', 'id'],
        uniqueFields: { tenantId_id: { tenantId: { type: 'String' }, id: { type: 'BigInt' } } },
      },
    },
    typeDefs: { Auth: { name: 'Auth', fields: { tenantId: { name: 'tenantId', type: 'String' } } } },
    authType: 'Auth',
    plugins: {},
  };
  const client = new orm.ZenStackClient(schema, { dialect: new PostgresDialect({ pool }) }).$use(new PolicyPlugin());
  const select = { id: true, name: true, price: true, createdAt: true };
  return {
    name: 'ZenStack, policy plugin',
    point: (tenantId, id) => client.$setAuth({ tenantId }).item.findMany({ where: { id }, select }),
    list: (tenantId, upTo) =>
      client
        .$setAuth({ tenantId })
        .item.findMany({ where: { id: { lte: upTo } }, orderBy: { id: 'desc' }, take: 50, select }),
    close: () => client.$disconnect(),
  };
}

interface ZenStackLike {
  $use(plugin: object): ZenStackLike;
  $setAuth(auth: object): { item: ItemQuery };
  $disconnect(): Promise<void>;
}

/** Those that can be set up here; what cannot is said in one line and left out. */
export async function openPeers(adminUrl: string, url: string, connections: number, tenant: string): Promise<Peer[]> {
  const opened: Peer[] = [];
  for (const [name, open] of [
    ['Drizzle', async () => drizzlePeer(url, connections)],
    ['Prisma', () => prismaPeer(url, connections)],
    ['@quxkit/tenant-kit', () => tenantKitPeer(adminUrl, url, connections)],
    ['ZenStack', () => zenStackPeer(url, connections)],
  ] as const) {
    try {
      const peer = await open();
      const [one, many] = [await peer.point(tenant, 7), await peer.list(tenant, 90)];
      if (one.length !== 1 || Number(one[0]?.id) !== 7 || many.length !== 50)
        throw new Error(`answered ${one.length} and ${many.length} rows`);
      opened.push(peer);
    } catch (error) {
      console.log(`${name} is left out: ${(error as Error).message.split('\n').find((line) => line.trim() !== '')}`);
    }
  }
  return opened;
}
