import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { createKernel } from '../src/database/kernel.ts';
import { createPool } from '../src/pool/index.ts';
import { createResources, type ResourceListOptions } from '../src/resources/index.ts';
import { createTenant } from './resource-list.data.ts';
import { benchOptions, benchServer, finish, machine, printTable, quantile, spread } from './frame.ts';

// What a list of the resources one may see costs through the pool, as the application's login and under the policies,
// beside the same list in hand-written SQL as the owner of the tables, whom no policy binds (a superuser's position).
// Both give the same columns of the same rows in the same order, both know tenant and user and find out what the user's
// principals are: ours in the policy, the hand-written ones in the statement or in one before it. There are three ways to
// write the rule (one of them over the column that Tenantry keeps); the fastest of all is what ours is compared with.
// Beside it, and in no goal: the fastest when the principals are handed over for free, as by an application that keeps
// them in a session and so gives access to those who have left a team; and our first list of a caller, before the
// service knows how much that caller sees.

const options = benchOptions();
const sizes = options.quick ? [10_000, 30_000] : [10_000, 1_000_000];
const secondsPerCase = Number(process.env['SECONDS'] ?? (options.quick ? 0.5 : 6));

const columns = `r.tenant_id, r.id, r.type, r.name, r.workspace_id, r.owner_principal_id, r.visibility, r.data, r.created_at, r.updated_at`;
const system = { admin: '00000000-0000-7000-8000-0000000000a1', member: '00000000-0000-7000-8000-0000000000b1' };
/** `$1` tenant, `$2` user. */
const principals = `(select array[m.tenant_id, m.user_id, case m.role when 'admin' then uuid '${system.admin}' else uuid '${system.member}' end]
    || m.role_id || array(select t.team_id from tenantry.team_members t where t.tenant_id = m.tenant_id and t.user_id = m.user_id)
  from tenantry.org_members m where m.tenant_id = $1::uuid and m.user_id = $2::uuid)`;
/** `$1` tenant. */
const rules: Record<string, (ids: string) => string> = {
  'or exists': (ids) => `(r.owner_principal_id = any (${ids}::uuid[]) or r.visibility in ('org', 'public') or exists (
    select 1 from tenantry.resource_acl a where a.tenant_id = r.tenant_id and a.resource_id = r.id and a.principal_id = any (${ids}::uuid[])))`,
  'in grants': (ids) => `(r.owner_principal_id = any (${ids}::uuid[]) or r.visibility in ('org', 'public') or r.id in (
    select a.resource_id from tenantry.resource_acl a where a.tenant_id = $1::uuid and a.principal_id = any (${ids}::uuid[])))`,
  'readers &&': (ids) => `r.readers && ${ids}::uuid[]`,
};
/** A hand-written way is cancelled when it takes this many times what ours takes, and counts as if it had been done by then. */
const patience = 4;

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
  let worstGiven = 0;
  let worstFirst = 0;
  for (const size of sizes) {
    const started = Date.now();
    await admin.query('set statement_timeout = 0');
    const tenant = await createTenant(admin, size);
    console.log(`${size.toLocaleString('en-US')} resources made in ${Math.round((Date.now() - started) / 1000)} s`);
    const table: (string | number)[][] = [];
    for (const caller of tenant.callers) {
      const context = { tenantId: tenant.id, userId: caller.userId };
      const lookUp = async (): Promise<string[]> => {
        const { rows } = await admin.query<{ ids: string[] }>({
          name: 'principals',
          text: `select ${principals} as ids`,
          values: [tenant.id, caller.userId],
        });
        return rows[0]?.ids ?? [];
      };
      const given = await lookUp();
      for (const variant of variants) {
        const list = { ...variant.list, limit: 50 };
        const ways: Record<string, () => Promise<number>> = {
          ours: async () => (await withTenant(context, () => resources.list(list))).items.length,
          first: async () => (await withTenant(context, () => createResources(kernel).list(list))).items.length,
        };
        for (const [rule, visible] of Object.entries(rules)) {
          const byHand = async (way: string, ids: string, second: unknown): Promise<number> => {
            const text = `select ${columns} from tenantry.resources r where r.tenant_id = $1::uuid and ${visible(ids)}${variant.condition} order by r.updated_at desc, r.id desc limit 51`;
            const name = `${way} ${rule} ${variant.name} ${size} ${caller.density}`;
            const { rows } = await admin.query({ name, text, values: [tenant.id, second, ...variant.values] });
            return Math.min(50, rows.length);
          };
          ways[`one: ${rule}`] = () => byHand('one', principals, caller.userId);
          ways[`two: ${rule}`] = async () => byHand('two', '$2', await lookUp());
          ways[`given: ${rule}`] = () => byHand('given', '$2', given);
        }
        const cancelled = await patienceWith(ways['ours']);
        await admin.query(`set statement_timeout = ${cancelled}`);
        const times = await measure(ways, cancelled, secondsPerCase);
        const fastest = fastestOf(times, ['one', 'two']);
        const free = fastestOf(times, ['given']);
        const ours = [...(times.get('ours') ?? [])].sort((a, b) => a - b);
        const ratio = ratioOf(times, 'ours', fastest);
        const ratioGiven = ratioOf(times, 'ours', free);
        const ratioFirst = ratioOf(times, 'first', fastest);
        worst = Math.max(worst, ratio);
        worstGiven = Math.max(worstGiven, ratioGiven);
        worstFirst = Math.max(worstFirst, ratioFirst);
        const name = `${size} ${caller.density} ${variant.name}`;
        lines[name.replaceAll(/[ %+]+/g, '_')] = ratio;
        table.push([
          `${caller.density}, ${variant.name}`,
          quantile(ours, 0.5),
          quantile(ours, 0.95),
          median(times, 'first'),
          median(times, fastest),
          fastest,
          median(times, free),
          ratio,
          ratioGiven,
          ratioFirst,
        ]);
        kept.push({
          size,
          density: caller.density,
          variant: variant.name,
          ratio,
          ratioGiven,
          ratioFirst,
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
      ['visible, list', 'ours p50', 'p95', 'first p50', 'by hand', 'which', 'given', 'ratio', 'to given', 'first'],
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
  finish('resource-list', options, {
    machine: described,
    lines: { ...lines, ratio_given: worstGiven, ratio_first: worstFirst, ratio: worst },
    results: kept,
  });
} finally {
  await server.stop();
}

function median(times: Map<string, number[]>, way: string): number {
  return quantile(
    [...(times.get(way) ?? [])].sort((a, b) => a - b),
    0.5,
  );
}

/** Round by round: what disturbs one round disturbs both. Ways that were given up have no rounds but their time. */
function ratioOf(times: Map<string, number[]>, a: string, b: string): number {
  const [ours = [], theirs = []] = [times.get(a), times.get(b)];
  if (ours.length !== theirs.length) return median(times, a) / median(times, b);
  return spread(ours.map((value, round) => value / (theirs[round] ?? value))).median;
}

function fastestOf(times: Map<string, number[]>, kinds: readonly string[]): string {
  return [...times.keys()]
    .filter((way) => kinds.some((kind) => way.startsWith(`${kind}:`)))
    .reduce((a, b) => (median(times, a) <= median(times, b) ? a : b));
}

async function patienceWith(ours: (() => Promise<number>) | undefined): Promise<number> {
  const taken: number[] = [];
  for (let i = 0; i < 5; i++) {
    const before = performance.now();
    await ours?.();
    taken.push(performance.now() - before);
  }
  return Math.max(50, Math.ceil(patience * spread(taken).median));
}

/**
 * Every way in turn, in another order each time, until the time is up; each answers with the same number of rows.
 * The first rounds, in which the server makes up its mind about plans, only sort out the ways that are always cancelled.
 */
async function measure(
  ways: Record<string, () => Promise<number>>,
  cancelled: number,
  seconds: number,
): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>(Object.keys(ways).map((name) => [name, []]));
  const warmup = 8;
  let names = Object.keys(ways);
  let end = Number.POSITIVE_INFINITY;
  for (let round = 0; round < warmup + 3 || Date.now() < end; round++) {
    const rows = new Set<number>();
    for (let i = 0; i < names.length; i++) {
      const name = names[(i + round) % names.length] ?? '';
      const before = process.hrtime.bigint();
      try {
        rows.add((await ways[name]?.()) ?? -1);
        times.get(name)?.push(Number(process.hrtime.bigint() - before) / 1e6);
      } catch (error) {
        if (!(error instanceof pg.DatabaseError && error.code === '57014')) throw error;
        times.get(name)?.push(cancelled);
      }
    }
    if (rows.size > 1) throw new Error(`the ways differ: ${[...rows].join(', ')} rows`);
    if (round !== warmup - 1) continue;
    names = names.filter((name) => !name.includes(':') || Math.min(...(times.get(name) ?? [])) < cancelled);
    for (const name of names) times.set(name, []);
    end = Date.now() + seconds * 1000;
  }
  return times;
}
