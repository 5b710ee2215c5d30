import pg from 'pg';
import { createAdopt } from '../../adopt/index.ts';
import { fixedQuery, leakyQuery, readOrder, startWorkload, type Workload } from '../../adopt/sample/index.ts';
import { withTenant } from '../../context/index.ts';
import { TenantryError } from '../../errors.ts';
import { createIsolation, createShadowRecorder, type Isolation, type ShadowRecorder } from '../../isolation/index.ts';
import { createPool, type TenantPool } from '../../pool/index.ts';
import { adoptProgress } from '../adopt-progress.ts';
import type { Terminal } from '../terminal.ts';
import { watchLocks } from './lock-watch.ts';
import { count, type Narrator } from './narrator.ts';
import type { Stage } from './prepare.ts';

export interface StoryNumbers {
  readonly rows: number;
  readonly tables: number;
  readonly organizations: number;
  readonly seconds: number;
  readonly statements: number;
  readonly failedStatements: number;
  readonly lostWrites: number;
  readonly longestLockWaitMs: number;
  readonly slowestStatementMs: number;
  readonly violationsFound: number;
}

/** An organization that stands for a shop of the sample. */
interface Shop {
  readonly tenantId: string;
  /** `shops.id`, as text. */
  readonly key: string;
  readonly name: string;
}

interface Stagehand {
  readonly terminal: Terminal;
  readonly tell: Narrator;
  readonly admin: pg.Pool;
  readonly isolation: Isolation;
  readonly signal: AbortSignal;
}

/** The new version of the application: a pool that carries the tenant, and a recorder of what shadow counts. */
interface NewVersion {
  readonly pool: TenantPool;
  readonly recorder: ShadowRecorder;
  readonly shops: readonly [Shop, Shop, ...Shop[]];
}

/** The main job from the first look to enforced, on a running application. Throws when a promise does not hold. */
export async function tellStory(
  terminal: Terminal,
  tell: Narrator,
  stage: Stage,
  signal: AbortSignal,
): Promise<StoryNumbers> {
  const { adminUrl, appUrl } = stage.database;
  const started = performance.now();
  const admin = quietPool(adminUrl, 8);
  const hand: Stagehand = { terminal, tell, admin, isolation: createIsolation({ admin }), signal };
  const errors: string[] = [];
  const locks = await watchLocks(adminUrl);
  const workload = await startWorkload(stage.oldUrl, {
    clients: 4,
    onError: (error, operation) =>
      errors.push(`${operation}: ${error instanceof Error ? error.message : String(error)}`),
  });
  const plain = quietPool(appUrl, 2);
  const recorder = createShadowRecorder({ database: plain, compareOn: plain, flushEvery: 500 });
  const pool = createPool({ connectionString: appUrl, max: 6, onShadowMiss: recorder.onShadowMiss });
  pool.on('error', () => {});
  try {
    tell.chapter('The old application works, and knows nothing of tenants');
    await pause(1500, signal);
    tell.say(
      `${count(workload.stats().statements)} statements in the first moments: pages, upserts, transactions, deletes; 4 clients, without a break.`,
    );
    const organizations = await adoptToShadow(hand);
    const shops = await readShops(admin);
    const violations = await rehearse(hand, workload, { pool, recorder, shops });
    const enforced = await enforce(hand, { pool, recorder, shops });
    await pause(1000, signal);

    const stats = await workload.stop();
    const lost = await workload.countLost(admin);
    const wrong = await createAdopt({ adminPool: admin, isolation: hand.isolation }).verify();
    if (wrong.length > 0)
      throw new TenantryError('TNT_ADOPT_VERIFY_FAILED', `${wrong.length} checks found rows of a wrong tenant.`);
    tell.good('every row has its parents’ tenant, also those written meanwhile; no committed write is lost');
    for (const error of errors.slice(0, 5)) tell.bad(error);
    return {
      rows: stage.shop.rows,
      tables: enforced,
      organizations,
      seconds: Math.round((performance.now() - started) / 100) / 10,
      statements: stats.statements,
      failedStatements: stats.failed,
      lostWrites: lost,
      longestLockWaitMs: Math.round(await locks.stop()),
      slowestStatementMs: Math.round(stats.slowest),
      violationsFound: violations,
    };
  } finally {
    await Promise.allSettled([workload.stop(), locks.stop()]);
    await Promise.allSettled([pool.end(), recorder.close()]);
    await Promise.allSettled([plain.end(), admin.end()]);
  }
}

async function adoptToShadow({ terminal, tell, admin, isolation, signal }: Stagehand): Promise<number> {
  tell.chapter('Adopt: inspect and plan');
  const adopt = createAdopt({ adminPool: admin, isolation });
  const { roots } = await adopt.inspect();
  const root = roots[0];
  if (root === undefined) throw new TenantryError('TNT_PLAN_UNDECIDED', 'No table looks like the tenant.');
  tell.say(`The tenant is probably ${terminal.paint('bold', root.table)}: ${root.reasons.join('; ')}.`);
  const { plan, conflicts } = await adopt.plan({ root: root.table });
  for (const table of plan.tables)
    tell.fact(table.table, `${table.class.padEnd(7)} ${terminal.paint('dim', table.reason)}`);
  if (conflicts.length > 0)
    throw new TenantryError('TNT_ADOPT_CONFLICTS', `${conflicts.length} conflicts in the sample.`);

  tell.chapter('Adopt: columns, triggers, backfill, verification, indexes, keys; then shadow');
  const progress = adoptProgress(terminal);
  const result = await adopt
    .run(plan, { to: 'shadow', signal, onEvent: progress.onEvent })
    .finally(() => progress.end());
  const { rows } = await admin.query<{ n: number }>('select count(*)::int as n from tenantry.organizations');
  const organizations = rows[0]?.n ?? 0;
  tell.good(
    `${count(result.rows)} rows in ${result.tables} tables belong to ${organizations} organizations after ${result.seconds.toFixed(1)} s`,
  );
  return organizations;
}

/** The new version goes live in shadow mode, and the planted leak is found. @returns how many violations were confirmed */
async function rehearse(
  { tell, isolation, signal }: Stagehand,
  workload: Workload,
  version: NewVersion,
): Promise<number> {
  const { pool, recorder, shops } = version;
  tell.chapter('Shadow: nothing is hidden, nothing is refused, everything is counted');
  const tenantOf = new Map(shops.map((shop) => [shop.key, shop.tenantId]));
  await workload.deploy({
    pool,
    withShop(shopId, request) {
      const tenantId = tenantOf.get(shopId);
      if (tenantId === undefined) throw new TenantryError('TNT_TENANT_UNKNOWN', `Shop ${shopId} has no organization.`);
      return withTenant({ tenantId }, request);
    },
  });
  tell.say(
    'The new version is live: the same statements, each request inside withTenant. One report was always wrong.',
  );
  const [shop] = shops;
  const leaked = await withTenant({ tenantId: shop.tenantId }, () => leakyQuery(pool, shop.key));
  tell.bad(`refunds of "${shop.name}": ${leaked.length} rows, ${foreignRows(leaked, shop)} of them other shops’`);
  await pause(1500, signal);
  await recorder.flush();
  const found = await isolation.shadowReport({ status: 'confirmed' });
  if (found.length === 0) throw new TenantryError('TNT_INTERNAL', 'Shadow did not find the planted leak.');
  for (const row of found) {
    tell.good(`found: ${row.operation} on ${row.table} at ${row.callSite || 'an unknown place'}`);
    tell.say(`  ${row.statement.replaceAll(/\s+/g, ' ').slice(0, 110)} …`);
    tell.say(
      `  seen ${count(row.occurrences)} times, ${count(row.rows)} foreign rows, ${row.status}, last ${row.lastSeen.toISOString()}`,
    );
  }
  return new Set(found.map((row) => row.fingerprint)).size;
}

/** After the fix the database enforces. @returns how many tables */
async function enforce(hand: Stagehand, { pool, recorder, shops }: NewVersion): Promise<number> {
  const { terminal, tell, admin, isolation, signal } = hand;
  tell.chapter('The fix goes live, and the database enforces');
  const [shop, other] = shops;
  await recorder.flush();
  const fixed = new Date();
  const rows = await withTenant({ tenantId: shop.tenantId }, () => fixedQuery(pool, shop.key));
  if (foreignRows(rows, shop) > 0) throw new TenantryError('TNT_INTERNAL', 'The fixed report still leaks.');
  await pause(1500, signal);
  await recorder.flush();
  const left = await isolation.shadowReport({ status: 'confirmed', since: fixed });
  if (left.length > 0)
    throw new TenantryError(
      'TNT_SHADOW_NOT_CLEAN',
      `Shadow still confirms: ${left.map((row) => row.callSite).join(', ')}.`,
    );
  tell.good(`refunds of "${shop.name}": ${rows.length} rows, 0 of other shops; shadow confirms nothing since`);

  const adopt = createAdopt({ adminPool: admin, isolation: enforceSince(isolation, fixed) });
  const progress = adoptProgress(terminal);
  await adopt.run(null, { to: 'enforced', signal, onEvent: progress.onEvent }).finally(() => progress.end());

  const again = await withTenant({ tenantId: shop.tenantId }, () => leakyQuery(pool, shop.key));
  assertNone(foreignRows(again, shop), 'the leaky report');
  tell.good(`the leaky report, as it was before the fix: ${again.length} rows, 0 of other shops`);
  const order = await admin.query<{ id: string }>(
    'select o.id::text as id from orders o join customers c on c.id = o.customer_id where c.shop_id = $1 limit 1',
    [other.key],
  );
  const forgedId = order.rows[0]?.id ?? '0';
  const asked = await withTenant({ tenantId: shop.tenantId }, () => readOrder(pool, forgedId));
  assertNone(asked.length, 'an order of another shop');
  tell.good(`"${shop.name}" asks for order ${forgedId} of "${other.name}": nothing`);
  const refused = await failureOf(
    withTenant({ tenantId: shop.tenantId }, () =>
      pool.query('update customers set tenant_id = $1 where shop_id = $2', [other.tenantId, shop.key]),
    ),
  );
  tell.good(`a forged tenant id in a write: refused by the server (${refused})`);
  tell.good(`a query outside of withTenant: ${await failureOf(pool.query('select 1 from customers'))}`);
  return (await isolation.status()).filter(({ table, mode }) => mode === 'enforced' && !table.startsWith('tenantry.'))
    .length;
}

/** What was seen before the fix no longer counts: the window begins there. */
function enforceSince(isolation: Isolation, since: Date): Isolation {
  return { ...isolation, enforce: (table, options) => isolation.enforce(table, { ...options, since }) };
}

function foreignRows(rows: readonly { shop_id: string }[], shop: Shop): number {
  return rows.filter((row) => row.shop_id !== shop.key).length;
}

function assertNone(rows: number, what: string): void {
  if (rows > 0) throw new TenantryError('TNT_INTERNAL', `Enforced, and yet ${what} shows ${rows} foreign rows.`);
}

async function failureOf(work: PromiseLike<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return error instanceof Error && 'code' in error ? `${String(error.code)}: ${error.message}` : String(error);
  }
  throw new TenantryError('TNT_INTERNAL', 'Enforced, and yet it was accepted.');
}

async function readShops(admin: pg.Pool): Promise<NewVersion['shops']> {
  const { rows } = await admin.query<Shop>(
    `select o.id::text as "tenantId", s.id::text as key, s.name from tenantry.organizations o join shops s on s.tenant_id = o.id order by s.id`,
  );
  const [first, second, ...rest] = rows;
  if (first === undefined || second === undefined)
    throw new TenantryError('TNT_INTERNAL', 'There are no two organizations.');
  return [first, second, ...rest];
}

function quietPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString, max, application_name: 'tenantry' });
  pool.on('error', () => {});
  return pool;
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  for (let left = milliseconds; left > 0; left -= 100) {
    signal.throwIfAborted();
    await new Promise((done) => setTimeout(done, Math.min(100, left)));
  }
}
