import pg from 'pg';
import { withSystem, withTenant } from '../src/context/index.ts';
import { createTenantry, type Tenantry } from '../src/tenantry.ts';
import { createPool, type TenantPool } from '../src/pool/index.ts';
import { benchOptions, benchServer, finish, machine, printTable, quantile } from './frame.ts';
import { fillTenants, type Sample } from './tenants.data.ts';

// What a request costs with ten, ten thousand and a million organizations beside it: the same.

const options = benchOptions();
const sizes = options.quick ? [10, 1_000, 100_000] : [10, 10_000, 1_000_000];
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 400 : 3_000));

type Operation = (t: Tenantry, sample: Sample) => Promise<unknown>;
const operations: Record<string, Operation> = {
  context: (t, sample) => withTenant(sample, () => t.kernel.query('select tenantry.current_tenant() as tenant')),
  'organization by slug': (t, { slug }) => withSystem('bench', () => t.organizations.idBySlug(slug)),
  'membership of a claim': (t, sample) => t.members.verify(sample),
  'member look-up': (t, sample) => withTenant(sample, () => t.members.get(sample.userId)),
  'principals of the caller': (t, sample) => withTenant(sample, () => t.principals.mine()),
  'list of members': (t, sample) => withTenant(sample, () => t.members.list()),
  'list of 20 resources': (t, sample) => withTenant(sample, () => t.resources.list()),
};

interface Database {
  readonly size: number;
  readonly pool: TenantPool;
  readonly t: Tenantry;
  readonly samples: Sample[];
}

const server = await benchServer({ shared_buffers: '3GB' });
try {
  const names = sizes.map((size) => `tenantry_bench_${process.pid}_${size}`);
  const of = (base: string, name: string): string => Object.assign(new URL(base), { pathname: `/${name}` }).href;
  const databases: Database[] = [];
  const root = new pg.Client({ connectionString: of(server.adminUrl, 'postgres') });
  await root.connect();
  const template = new URL(server.adminUrl).pathname.slice(1);
  for (const [i, size] of sizes.entries()) {
    const name = names[i] ?? '';
    await root.query(`create database ${name} template ${template}`);
    const admin = new pg.Client({ connectionString: of(server.adminUrl, name) });
    await admin.connect();
    const started = Date.now();
    const samples = await fillTenants(admin, size);
    await admin.end();
    console.log(`${size.toLocaleString('en-US')} organizations made in ${Math.round((Date.now() - started) / 1000)} s`);
    const pool = createPool({ connectionString: of(server.appUrl, name), max: 1, idleTimeoutMillis: 0 });
    databases.push({ size, pool, t: createTenantry({ pool }), samples });
  }

  const times = new Map<string, number[]>();
  const keep = (key: string, value: number): void => {
    const known = times.get(key);
    if (known === undefined) times.set(key, [value]);
    else known.push(value);
  };
  for (const [name, operation] of Object.entries(operations)) {
    for (let round = -50; round < rounds; round++) {
      // in turn, in another order each time: what else the machine does falls on all alike
      for (let i = 0; i < databases.length; i++) {
        const { size, t, samples } = databases[(i + round + 50) % databases.length] as Database;
        const sample = samples[(round + 50) % samples.length] as Sample;
        const before = process.hrtime.bigint();
        await operation(t, sample);
        const milliseconds = Number(process.hrtime.bigint() - before) / 1e6;
        if (round >= 0) keep(`${name} ${size}`, milliseconds);
      }
    }
  }

  const lines: Record<string, number> = {};
  const table: (string | number)[][] = [];
  const results: unknown[] = [];
  for (const name of Object.keys(operations)) {
    const p50 = sizes.map((size) =>
      quantile(
        [...(times.get(`${name} ${size}`) ?? [])].sort((a, b) => a - b),
        0.5,
      ),
    );
    const p95 = sizes.map((size) =>
      quantile(
        [...(times.get(`${name} ${size}`) ?? [])].sort((a, b) => a - b),
        0.95,
      ),
    );
    const ratio = (p50.at(-1) ?? 0) / (p50[0] ?? 1);
    lines[name.replaceAll(' ', '_')] = ratio;
    table.push([name, ...p50, p95.at(-1) ?? 0, ratio]);
    results.push({
      name,
      milliseconds: Object.fromEntries(sizes.map((size, i) => [size, { p50: p50[i], p95: p95[i] }])),
      ratio,
    });
  }
  const header = sizes.map((size) => `${size.toLocaleString('en-US')} p50`);
  printTable(
    'milliseconds, by number of organizations',
    ['operation', ...header, 'largest p95', 'largest / smallest'],
    table,
  );
  await Promise.all(databases.map(({ pool }) => pool.end()));
  for (const name of names) await root.query(`drop database if exists ${name}`).catch(() => {});
  await root.end();
  const described = machine(server);
  console.log(
    `\n${Object.entries(described)
      .map(([key, value]) => `${key}: ${value}`)
      .join(', ')}`,
  );
  finish('tenants', options, {
    machine: described,
    lines: { ...lines, flat: Math.max(...Object.values(lines)) },
    results,
  });
} finally {
  await server.stop();
}
