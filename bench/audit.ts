import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { createPool } from '../src/pool/index.ts';
import { createTenantry } from '../src/tenantry.ts';
import {
  type BenchCase,
  type BenchResult,
  benchOptions,
  benchServer,
  concurrently,
  finish,
  interleave,
  machine,
  printTable,
  ratio,
} from './frame.ts';

// What an entry of the audit log costs: chained, in the order of its organization, against a row in a table without any of it.

const options = benchOptions();
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 9 : 31));
const concurrent = 16;
const inOne = 20;

const server = await benchServer();
try {
  const admin = new pg.Client({ connectionString: server.adminUrl });
  admin.on('error', () => {});
  await admin.connect();
  await admin.query(
    'create table bare_log (tenant_id uuid not null, id uuid not null default gen_random_uuid(), at timestamptz not null default clock_timestamp(), action text not null, resource_id uuid, details jsonb not null, primary key (tenant_id, id))',
  );
  await admin.query('grant insert on bare_log to tenantry_app');
  await admin.query('set role tenantry_owner');
  const { rows } = await admin.query<{ tenantId: string; userId: string }>(
    `with u as (insert into tenantry.users (email) values ('bench@example.com') returning id),
       o as (insert into tenantry.organizations (name, slug, created_by) select 'Bench', 'bench-' || i, u.id from u, generate_series(1, $1::int) i returning id)
     select o.id as "tenantId", u.id as "userId" from o, u`,
    [concurrent],
  );
  await admin.end();
  const ownerOf = (i: number): { tenantId: string; userId: string } =>
    rows[i % rows.length] as { tenantId: string; userId: string };

  const pool = createPool({ connectionString: server.appUrl, max: concurrent, idleTimeoutMillis: 0 });
  const bare = new pg.Pool({ connectionString: server.appUrl, max: concurrent, idleTimeoutMillis: 0 });
  for (const each of [pool, bare]) each.on('error', () => {});
  const t = createTenantry({ pool });
  const details = { from: 'draft', to: 'published', name: 'a prompt of usual length' };
  const insert = 'insert into bare_log (tenant_id, action, resource_id, details) values ($1, $2, $3, $4)';
  const record = (i: number): Promise<void> =>
    withTenant(ownerOf(i), () => t.audit.record({ action: 'prompt.published', resourceId: randomUUID(), details }));
  const many = (i: number): Promise<void> =>
    withTenant(ownerOf(i), () =>
      t.kernel.transaction(async (tx) => {
        for (let n = 0; n < inOne; n += 1)
          await t.audit.record({ action: 'prompt.published', resourceId: randomUUID(), details }, tx);
      }),
    );
  const entries = (name: string, count: number, operation: (i: number) => Promise<unknown>, each = 1): BenchCase => ({
    name,
    operations: count * each,
    run: () => concurrently(count, concurrent, operation),
  });
  const cases: BenchCase[] = [
    entries('one row in a bare table', 2_000, (i) =>
      bare.query({
        name: 'bare',
        text: insert,
        values: [ownerOf(i).tenantId, 'prompt.published', randomUUID(), JSON.stringify(details)],
      }),
    ),
    entries('Tenantry, 16 organizations', 1_000, record),
    entries('Tenantry, one organization', 500, () => record(0)),
    entries(`Tenantry, one organization, ${inOne} in a transaction`, 60, () => many(0), inOne),
  ];
  const measured = await interleave(cases, {
    rounds,
    ...(server.pid === undefined ? {} : { serverPid: server.pid }),
  });
  const result = (name: string): BenchResult => measured.get(name) as BenchResult;
  printTable(
    `entries per second, ${concurrent} concurrent, each after its commit, ${rounds} rounds, without waiting for the disk`,
    ['', 'median', 'least', 'most', 'µs of processor'],
    [...measured.values()].map(({ name, rate: { median, min, max }, cpu }) => [name, median, min, max, cpu.median]),
  );
  const verified = await withTenant(ownerOf(0), () => t.audit.verify());
  if (!verified.ok) throw new Error('the chain does not verify');
  await t.close();
  await bare.end();
  await pool.end();

  const described = machine(server);
  console.log(
    `\n${Object.entries(described)
      .map(([name, value]) => `${name}: ${value}`)
      .join(', ')}`,
  );
  finish('audit', options, {
    machine: described,
    lines: {
      'entries-one-organization': result('Tenantry, one organization').rate.median,
      'entries-16-organizations': result('Tenantry, 16 organizations').rate.median,
      'entries-in-one-transaction': result(`Tenantry, one organization, ${inOne} in a transaction`).rate.median,
      bare: ratio(result('Tenantry, 16 organizations'), result('one row in a bare table')),
    },
    results: { Entries: [...measured.values()] },
  });
} finally {
  await server.stop();
}
