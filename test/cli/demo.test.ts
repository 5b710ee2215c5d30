import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { tenantry } from '../support/command-line.ts';
import { createTestDatabase } from '../support/database.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenantry-demo-'));
afterAll(() => {
  const moved = join(folder, 'moved-to');
  if (existsSync(moved)) rmSync(readFileSync(moved, 'utf8').trim(), { recursive: true, force: true });
  rmSync(folder, { recursive: true, force: true });
});

describe('the main job', () => {
  it('adopts a running shop without a failed statement, finds the leak in shadow, and enforces', async () => {
    const { code, out, err } = await tenantry(['demo', '--rows', '4000', '--folder', folder, '--json']);
    expect(err).not.toContain('error');
    const numbers = JSON.parse(out) as Record<string, number>;
    expect(numbers).toMatchObject({ failedStatements: 0, lostWrites: 0, tables: 10, violationsFound: 1 });
    expect(numbers['rows']).toBeGreaterThanOrEqual(4000);
    expect(code).toBe(0);
  }, 180_000);

  it('looks at a database of one’s own and changes nothing', async () => {
    const db = await createTestDatabase({ migrated: false });
    try {
      await db.query(`create table accounts (id bigint primary key, name text)`);
      await db.query(
        `create table notes (id bigint primary key, account_id bigint not null references accounts (id), title text)`,
      );
      const before = await db.query('select count(*) from pg_class');
      const { code, out, err } = await tenantry(['demo', '--database-url', db.adminUrl]);
      expect(err).toBe('');
      expect(code).toBe(0);
      expect(out).toContain('public.notes');
      expect(out).toContain('Nothing was changed.');
      expect(await db.query('select count(*) from pg_class')).toEqual(before);
    } finally {
      await db.drop();
    }
  });
});
