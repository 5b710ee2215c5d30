import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createAdopt } from '../../src/adopt/index.ts';
import { compileSources } from '../isolation/compiled.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

// a terminal of its own for a command: util-linux
const script = '/usr/bin/script';
const available = process.platform === 'linux' && existsSync(script);
if (!available) console.log(`questions at a terminal: skipped; it needs ${script}`);

describe.skipIf(!available)('questions of hooks at a terminal', () => {
  let db: TestDatabase;
  let pool: pg.Pool;
  let main: string;
  const folder = mkdtempSync(join(tmpdir(), 'tenantry-terminal-'));
  const plan = join(folder, 'plan.yaml');
  const hooks = join(folder, 'hooks.mjs');
  beforeAll(async () => {
    main = join((await compileSources()).folder, 'cli', 'main.js');
    db = await createTestDatabase();
    pool = new pg.Pool({ connectionString: db.adminUrl, max: 6 });
    pool.on('error', () => {});
    await db.query(
      `create table shops (id int primary key, name text not null); insert into shops values (1, 'One'), (2, 'Two')`,
    );
    writeFileSync(plan, (await createAdopt({ adminPool: pool }).plan({ root: 'public.shops' })).file);
    writeFileSync(
      hooks,
      `export default { beforePhase: { expand: { name: 'backup', confirm: 'Is there a backup?', run({ log }) { log('was told so'); } } } };`,
    );
  });
  afterAll(async () => {
    await pool.end();
    await db.drop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The command as a person runs it, who types this when it asks. */
  async function typing(answer: string): Promise<{ code: number; screen: string }> {
    const words = [process.execPath, main, 'adopt', 'run', '--file', plan, '--hooks', hooks, '--to', 'expand'];
    const child = spawn(script, ['-q', '-e', '-c', words.map((word) => `'${word}'`).join(' '), '/dev/null'], {
      env: { ...process.env, DATABASE_URL: db.adminUrl, TENANTRY_ADMIN_URL: db.adminUrl },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let screen = '';
    let answered = false;
    child.stdout.on('data', (chunk: Buffer) => {
      screen += chunk.toString();
      if (answered || !screen.includes('Is there a backup? [y/N] ')) return;
      answered = true;
      child.stdin.write(`${answer}\r`);
    });
    const [code] = (await once(child, 'close')) as [number];
    return { code, screen };
  }

  test('no, or nothing, ends the command before anything is changed; yes lets it go on', async () => {
    const adopt = createAdopt({ adminPool: pool });
    for (const answer of ['n', '']) {
      const { code, screen } = await typing(answer);
      expect([answer, code, screen]).toEqual([answer, 2, expect.stringContaining('TNT_NOT_CONFIRMED')]);
      expect((await adopt.status())?.status).not.toBe('open');
    }
    const { code, screen } = await typing('yes');
    expect([code, screen]).toEqual([0, expect.stringContaining('was told so')]);
    expect(await adopt.status()).toMatchObject({ status: 'open', phase: 'expand' });
    expect((await adopt.undo({ withoutHooks: true })).differences).toEqual([]);
  });
});
