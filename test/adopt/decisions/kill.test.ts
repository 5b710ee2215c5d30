import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { dumpSchema } from '../../../src/adopt/index.ts';
import { compileSources } from '../../isolation/compiled.ts';
import { contents, createSubject, type Subject } from '../support/subject.ts';

vi.setConfig({ testTimeout: 240_000, hookTimeout: 120_000 });

const schema = `
create table shops (id int primary key, name text not null);
create table towns (id int generated always as identity primary key, name text not null);
create table addresses (id uuid primary key default gen_random_uuid(), town_id int not null references towns, street text not null);
create table customers (id int primary key, shop_id int not null references shops, address_id uuid not null references addresses, pad text);
create index on customers (address_id);
insert into shops select n, 'Shop ' || n from generate_series(1, 5) n;
insert into towns (name) select 'Town ' || n from generate_series(1, 20) n;
insert into addresses (id, town_id, street) select md5(n::text)::uuid, 1 + n % 20, 'street ' || n from generate_series(1, 300) n;
insert into customers select n, 1 + n % 5, md5((1 + n % 300)::text)::uuid, repeat('x', 200) from generate_series(1, 3000) n;
update customers set address_id = md5((1 + (id * 7) % 300)::text)::uuid where id % 3 = 0;
`;
const tables = ['shops', 'towns', 'addresses', 'customers'];
const decisions = {
  root: 'public.shops',
  tables: {
    'public.addresses': { class: 'owned' as const, sharedRows: 'duplicate' as const },
    'public.towns': { class: 'owned' as const, sharedRows: 'duplicate' as const },
  },
};

let compiled: Awaited<ReturnType<typeof compileSources>>;
let subject: Subject;
beforeAll(async () => {
  [compiled, subject] = await Promise.all([compileSources(), createSubject(schema)]);
});
afterAll(async () => {
  await subject.drop();
});

/** A process of its own that goes on, until it has told of `steps` steps of the copying and a moment more. @returns true when it was done */
async function runUntil(work: 'run' | 'undo', steps: number, moment: number): Promise<boolean> {
  const script = `
    import pg from 'pg';
    import { createAdopt } from './adopt/index.js';
    const adminPool = new pg.Pool({ connectionString: process.env.ADMIN, max: 6 });
    const adopt = createAdopt({ adminPool });
    const onEvent = (e) => { if (e.type === 'step' || e.type === 'progress') process.stdout.write('.'); };
    await (${work === 'run' ? 'adopt.run(null, { onEvent, batchMilliseconds: 2 })' : `adopt.undo({ onEvent, to: 'shadow' })`});
    process.stdout.write('done');
    await adminPool.end();`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: compiled.folder,
    env: { ...process.env, ADMIN: subject.db.adminUrl },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [seen, errors] = ['', ''];
  child.stderr.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
    if (seen.length >= steps) setTimeout(() => child.kill('SIGKILL'), moment);
  });
  await once(child, 'exit');
  expect(errors).toBe('');
  return seen.endsWith('done');
}

/** An application that gives customers addresses of other shops, until it is told that there are none. */
async function write(
  db: pg.Pool,
  signal: AbortSignal,
): Promise<{ written: number; refused: number; failures: unknown[] }> {
  const result = { written: 0, refused: 0, failures: [] as unknown[] };
  for (let n = 0; !signal.aborted; n += 1) {
    await db
      .query(`update customers set address_id = md5((1 + $1 % 300)::text)::uuid where id = 1 + ($1 * 13) % 3000`, [n])
      .then(
        () => (result.written += 1),
        (error: pg.DatabaseError) => {
          if (error.code === '23503') result.refused += 1;
          else result.failures.push(error);
        },
      );
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return result;
}

async function strangers(): Promise<unknown> {
  const [row] = await subject.db.query(`
    select (select count(*)::int from customers c join addresses a on a.id = c.address_id where a.tenant_id is distinct from c.tenant_id) as addresses,
           (select count(*)::int from addresses a join towns t on t.id = a.town_id where t.tenant_id is distinct from a.tenant_id) as towns,
           (select count(*)::int from (select 1 from addresses group by street, tenant_id having count(*) > 1) x) as twice`);
  return row;
}

describe('E2: copies for each tenant', () => {
  test('are made once each, however often the run is killed, and all go again however often the undo is', async () => {
    const { adopt, db, pool } = subject;
    const before = await dumpSchema(db.admin);
    const { plan } = await adopt.plan(decisions);
    await adopt.run(plan, { to: 'shadow' });
    const shadow = await dumpSchema(db.admin);
    const stop = new AbortController();
    const writing = write(pool, stop.signal);
    let kills = 0;
    for (let i = 0; i < 12; i += 1) {
      if (await runUntil('run', 1 + ((i * 5) % 9), (i * 11) % 23)) break;
      kills += 1;
      if (kills === 4) break;
    }
    expect(kills).toBeGreaterThanOrEqual(3);
    expect((await adopt.run(null)).phase).toBe('enforced');
    stop.abort();
    const { written, failures } = await writing;
    expect(failures).toEqual([]);
    expect(written).toBeGreaterThan(10);
    expect(await strangers()).toEqual({ addresses: 0, towns: 0, twice: 0 });
    expect(await adopt.verify()).toEqual([]);
    const [copies] = await db.query<{ n: number }>('select count(*)::int as n from tenantry.adoption_duplicates');
    expect(copies!.n).toBeGreaterThan(200);
    let undoKills = 0;
    for (let i = 0; i < 3; i += 1) {
      if (await runUntil('undo', 1 + ((i * 7) % 11), (i * 5) % 17)) break;
      undoKills += 1;
    }
    expect(undoKills).toBeGreaterThanOrEqual(2);
    expect((await adopt.undo({ to: 'shadow' })).kept).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(shadow);
    expect(await db.query('select count(*)::int as n from addresses')).toEqual([{ n: 300 }]);
    expect(await db.query('select count(*)::int as n from towns')).toEqual([{ n: 20 }]);
    // every customer lives where it was put, in the original
    const [lost] = await db.query(
      'select count(*)::int as n from customers c where not exists (select from addresses a where a.id = c.address_id and a.id = md5(substr(a.street, 8))::uuid)',
    );
    expect(lost).toEqual({ n: 0 });
    const data = await contents(db, tables.slice(0, 3));
    expect((await adopt.undo()).differences).toEqual([]);
    expect(await dumpSchema(db.admin)).toBe(before);
    expect(data['towns']).toContain('Town 20');
  });
});
