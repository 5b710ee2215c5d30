import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { createKernel } from '../src/database/kernel.ts';
import { createPool } from '../src/pool/index.ts';
import { createResources, type ResourceListOptions } from '../src/resources/index.ts';
import { createTenant } from './resource-list.data.ts';
import { benchOptions, benchServer, finish, machine, printTable, quantile } from './frame.ts';

// What a list of the resources one may see costs under the policies, beside the same list by hand-written SQL as the
// owner of the tables, whom no policy binds (a superuser's position), and who is handed the caller's principals for free.

const options = benchOptions();
const sizes = options.quick ? [10_000, 50_000] : [10_000, 1_000_000];
const secondsPerCase = Number(process.env['SECONDS'] ?? (options.quick ? 0.7 : 8));

const columns = `r.tenant_id, r.id, r.type, r.name, r.workspace_id, r.owner_principal_id, r.visibility, r.data, r.created_at, r.updated_at`;
/** `$1` tenant, `$2` principals. The three ways in which one writes it; the fastest of them is what ours is compared with. */
const byHand: Record<string, string> = {
  'or exists': `(r.owner_principal_id = any ($2::uuid[]) or r.visibility in ('org', 'public') or exists (
    select 1 from tenantry.resource_acl a where a.tenant_id = r.tenant_id and a.resource_id = r.id and a.principal_id = any ($2::uuid[])))`,
  'in grants': `(r.owner_principal_id = any ($2::uuid[]) or r.visibility in ('org', 'public') or r.id in (
    select a.resource_id from tenantry.resource_acl a where a.tenant_id = $1::uuid and a.principal_id = any ($2::uuid[])))`,
  'readers &&': 'r.readers && $2::uuid[]',
};

interface Variant {
  readonly name: string;
  readonly list: ResourceListOptions;
  readonly condition: string;
  readonly values: unknown[];
}
const variants: Variant[] = [
  { name: 'page', list: {}, condition: '', values: [] },
  { name: 'type', list: { type: 'model' }, condition: ' and r.type = $3::text', values: ['model'] },
  { name: 'search', list: { search: 'abc' }, condition: ' and r.name ilike $3::text', values: ['%abc%'] },
  {
    name: 'type + search',
    list: { type: 'model', search: 'abc' },
    condition: ' and r.type = $3::text and r.name ilike $4::text',
    values: ['model', '%abc%'],
  },
];

const server = await benchServer({ shared_buffers: '2GB', work_mem: '16MB' });
try {
  const admin = new pg.Client({ connectionString: server.adminUrl });
  await admin.connect();
  const pool = createPool({ connectionString: server.appUrl, max: 1, idleTimeoutMillis: 0 });
  const kernel = createKernel(pool);
  const resources = createResources(kernel);
  const lines: Record<string, number> = {};
  const kept: unknown[] = [];
  let worst = 0;
  for (const size of sizes) {
    const started = Date.now();
    await admin.query('set statement_timeout = 0');
    const tenant = await createTenant(admin, size);
    await admin.query(`set statement_timeout = '2s'`);
    console.log(`${size.toLocaleString('en-US')} resources made in ${Math.round((Date.now() - started) / 1000)} s`);
    const table: (string | number)[][] = [];
    for (const caller of tenant.callers) {
      const context = { tenantId: tenant.id, userId: caller.userId };
      const [row] = await withTenant(context, () =>
        kernel.query<{ ids: string[] }>('select tenantry.caller_principals() as ids'),
      );
      for (const variant of variants) {
        const ways: Record<string, () => Promise<number>> = {
          ours: async () =>
            (await withTenant(context, () => resources.list({ ...variant.list, limit: 50 }))).items.length,
        };
        for (const [name, rule] of Object.entries(byHand)) {
          const text = `select ${columns} from tenantry.resources r where r.tenant_id = $1::uuid and ${rule}${variant.condition} order by r.updated_at desc, r.id desc limit 51`;
          const values = [tenant.id, row?.ids ?? [], ...variant.values];
          ways[name] = async () =>
            Math.min(
              50,
              (await admin.query({ name: `${name} ${variant.name} ${size} ${caller.density}`, text, values })).rows
                .length,
            );
        }
        const times = await measure(ways, secondsPerCase);
        const fastest = Object.keys(byHand).reduce((a, b) => (median(times, a) <= median(times, b) ? a : b));
        const ours = [...(times.get('ours') ?? [])].sort((a, b) => a - b);
        const ratio = quantile(ours, 0.5) / median(times, fastest);
        worst = Math.max(worst, ratio);
        const name = `${size} ${caller.density} ${variant.name}`;
        lines[name.replaceAll(/[ %+]+/g, '_')] = ratio;
        table.push([
          `${caller.density}, ${variant.name}`,
          quantile(ours, 0.5),
          quantile(ours, 0.95),
          ...Object.keys(byHand).map((way) => median(times, way)),
          ratio,
        ]);
        kept.push({
          size,
          density: caller.density,
          variant: variant.name,
          ratio,
          fastest,
          milliseconds: Object.fromEntries(
            [...times].map(([way, all]) => [
              way,
              {
                p50: median(times, way),
                p95: quantile(
                  [...all].sort((a, b) => a - b),
                  0.95,
                ),
                runs: all.length,
              },
            ]),
          ),
        });
      }
    }
    printTable(
      `${size.toLocaleString('en-US')} resources in one tenant, ms`,
      ['visible, list', 'ours p50', 'ours p95', ...Object.keys(byHand).map((way) => `${way} p50`), 'ratio'],
      table,
    );
  }
  await pool.end();
  await admin.end();
  const described = machine(server);
  console.log(
    `\n${Object.entries(described)
      .map(([key, value]) => `${key}: ${value}`)
      .join(', ')}`,
  );
  finish('resource-list', options, { machine: described, lines: { ...lines, ratio: worst }, results: kept });
} finally {
  await server.stop();
}

function median(times: Map<string, number[]>, way: string): number {
  return quantile(
    [...(times.get(way) ?? [])].sort((a, b) => a - b),
    0.5,
  );
}

/** Every way in turn, in another order each time, until the time is up; each answers with the same number of rows. */
async function measure(ways: Record<string, () => Promise<number>>, seconds: number): Promise<Map<string, number[]>> {
  const names = Object.keys(ways);
  const times = new Map<string, number[]>(names.map((name) => [name, []]));
  const given = new Set<string>();
  const end = Date.now() + seconds * 1000;
  for (let round = 0; round < 3 || Date.now() < end; round++) {
    const rows = new Set<number>();
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length] ?? '';
      if (given.has(name)) continue;
      const before = process.hrtime.bigint();
      try {
        rows.add((await ways[name]?.()) ?? -1);
      } catch (error) {
        if (!(error instanceof pg.DatabaseError && error.code === '57014')) throw error;
        given.add(name); // over the time-out: not the way to write it
        times.set(name, [Number.POSITIVE_INFINITY]);
        continue;
      }
      const milliseconds = Number(process.hrtime.bigint() - before) / 1e6;
      if (round > 0) times.get(name)?.push(milliseconds);
    }
    if (rows.size !== 1) throw new Error(`the ways differ: ${[...rows].join(', ')} rows`);
  }
  return times;
}
