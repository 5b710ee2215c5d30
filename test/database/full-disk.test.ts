import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { translateDatabaseError } from '../../src/database/database-error.ts';
import { startEmbedded } from '../../src/database/embedded/server.ts';
import { migrateUp, migrationStatus } from '../../src/database/migrate.ts';
import { listMigrations } from '../../src/database/migrations.ts';
import { throwawaySettings } from '../support/server.ts';

const folder = mkdtempSync(join(tmpdir(), 'tenantry-full-'));
const mount = (options: string): boolean =>
  spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]).status === 0;
const mountable = process.getuid?.() === 0 && mount('size=24m,mode=755');
if (!mountable) console.log('full disk: skipped; it needs root and the right to mount a tmpfs');

describe.skipIf(!mountable)('a full disk', () => {
  beforeAll(() => spawnSync('chmod', ['755', folder]));
  afterAll(() => {
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('at initdb is one clear line, leaves no half-made data folder, and the next start works', async () => {
    const settings = {
      ...throwawaySettings,
      shared_buffers: '16MB',
      wal_level: 'minimal',
      max_wal_senders: '0',
      min_wal_size: '32MB',
      max_wal_size: '64MB',
    };
    await expect(startEmbedded({ folder, settings })).rejects.toMatchObject({ code: 'TNT_DISK_FULL' });
    expect(mount('remount,size=160m')).toBe(true);
    const server = await startEmbedded({ folder, settings });
    const pool = new pg.Pool({ connectionString: server.superuserUrl, max: 2 });
    pool.on('error', () => {});
    try {
      // unlogged: a write-ahead log that cannot grow would end the server instead of the statement
      await pool.query('create unlogged table filler (content text)');
      const filled = await pool
        .query(`insert into filler select repeat(md5(i::text), 60) from generate_series(1, 200000) i`)
        .then(() => undefined, translateDatabaseError);
      expect(filled).toMatchObject({ code: 'TNT_DISK_FULL' });

      // the space is still taken by the table that was rolled back until it is truncated: migrations meet the full disk
      const refused = await migrateUp(pool).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (refused !== undefined) {
        expect(refused).toMatchObject({ code: 'TNT_DISK_FULL' });
        const half = await migrationStatus(pool);
        const applied = half.filter(({ appliedAt }) => appliedAt !== undefined).length;
        expect(half.slice(applied).every(({ appliedAt }) => appliedAt === undefined)).toBe(true);
      }
      await pool.query('truncate filler');
      await migrateUp(pool);
      expect((await migrationStatus(pool)).filter(({ appliedAt }) => appliedAt !== undefined)).toHaveLength(
        listMigrations().length,
      );
    } finally {
      await pool.end();
      await server.stop();
    }
  });
});
