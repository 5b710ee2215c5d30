import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { dumpSchema } from '../../../src/adopt/index.ts';
import { compileSources } from '../../isolation/compiled.ts';
import { createSubject, type Subject } from '../support/subject.ts';
import { byJoinTable, members, oldMembers, oldTables } from './old-tables.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

let folder: string;
let subject: Subject;
beforeAll(async () => {
  [{ folder }, subject] = await Promise.all([compileSources(), createSubject(oldTables)]);
  await subject.db.query(`
    insert into "user" (email) select 'many' || n || '@example.com' from generate_series(1, 2500) n;
    insert into org_user select u.id, 1 + u.id % 6, case when u.id % 11 = 0 then 'admin' end from "user" u where u.id > 40`);
});
afterAll(() => subject.drop());

/** A process of its own, killed when it has told of so many batches. */
async function killedAfter(batches: number): Promise<void> {
  const script = `
    import pg from 'pg';
    import { createAdopt } from './adopt/index.js';
    const adminPool = new pg.Pool({ connectionString: process.env.ADMIN, max: 6 });
    const onEvent = (e) => { if (e.type === 'progress') process.stdout.write('.'); };
    await createAdopt({ adminPool }).run(null, { to: 'backfill', onEvent });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    env: { ...process.env, ADMIN: subject.db.adminUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let seen = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    seen += chunk.length;
    if (seen >= batches) child.kill('SIGKILL');
  });
  await once(child, 'exit');
}

test('E4: killed in the middle of its batches, and again, a run makes each membership once and none too many', async () => {
  const { adopt, db } = subject;
  const before = await dumpSchema(db.admin);
  const { plan } = await adopt.plan(byJoinTable);
  await adopt.run(plan, { to: 'expand' });
  const reached: number[] = [];
  for (const batches of [2, 3]) {
    await killedAfter(batches);
    const [step] = await db.query<{ status: string; key: number }>(
      `select status, (cursor ->> 'key')::int as key from tenantry.adoption_steps where id = 'backfill/memberships' and status <> 'undone'`,
    );
    expect(step?.status).toBe('running');
    reached.push(step?.key ?? 0);
    // old code goes on while nobody works on it
    await db.query(
      `delete from org_user where user_id = 41 + ${batches}; update org_user set role = 'admin' where user_id = 2530 + ${batches}`,
    );
  }
  expect(reached[0]).toBeGreaterThan(0);
  expect(reached[1]).toBeGreaterThan(reached[0]!);
  expect(reached[1]).toBeLessThan(2540);
  await adopt.run(null);
  expect(await adopt.verify()).toEqual([]);
  expect(await members(db)).toEqual(await oldMembers(db));
  expect((await adopt.undo()).differences).toEqual([]);
  expect(await dumpSchema(db.admin)).toBe(before);
});
