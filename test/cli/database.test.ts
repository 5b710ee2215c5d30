import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startTenantry, tenantry } from '../support/command-line.ts';

describe('tenantry database', () => {
  const names = ['DATABASE_URL', 'TENANTRY_ADMIN_URL', 'TENANTRY_OPERATOR_URL'];
  const before = names.map((name): [string, string | undefined] => [name, process.env[name]]);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tenantry-database-command-'));
    for (const name of names) delete process.env[name];
  });
  afterEach(() => {
    for (const [name, value] of before) if (value !== undefined) process.env[name] = value;
    const moved = join(folder, 'data', 'moved-to');
    if (existsSync(moved)) rmSync(readFileSync(moved, 'utf8').trim(), { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  });
  const configuration = (text: string): string => {
    const file = join(folder, 'tenantry.config.mjs');
    writeFileSync(file, `export default ${text};\n`);
    return file;
  };

  it('keeps the embedded server running with its URLs in a private file, until a signal', async () => {
    const data = join(folder, 'data');
    const config = configuration(JSON.stringify({ embedded: { folder: data } }));
    const file = join(data, 'database.env');
    // one that everybody may read is there already, as an editor or an older version left it
    mkdirSync(data);
    writeFileSync(file, 'DATABASE_URL=postgresql://nobody@127.0.0.1:1/nothing\n');
    chmodSync(file, 0o644);
    const { ended, said, saying } = startTenantry(['database', '--config', config]);
    await saying('psql');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const urls = new Map(
      readFileSync(file, 'utf8')
        .trim()
        .split('\n')
        .map((line): [string, string] => {
          const at = line.indexOf('=');
          return [line.slice(0, at), line.slice(at + 1)];
        }),
    );
    for (const [name, login] of [
      ['DATABASE_URL', 'app'],
      ['TENANTRY_ADMIN_URL', 'tenantry_admin'],
      ['TENANTRY_OPERATOR_URL', 'operator'],
    ] as const) {
      const client = new pg.Client({ connectionString: urls.get(name) });
      await client.connect();
      expect((await client.query<{ login: string }>('select current_user::text as login')).rows).toEqual([{ login }]);
      await client.end();
    }
    expect(said()).not.toContain(new URL(urls.get('DATABASE_URL') ?? '').password);
    process.emit('SIGTERM');
    expect(await ended).toBe(0);
    expect(existsSync(file)).toBe(false);
    const client = new pg.Client({ connectionString: urls.get('DATABASE_URL') });
    await expect(client.connect()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('says that another database is configured, and starts nothing', async () => {
    const config = configuration(JSON.stringify({ databaseUrl: 'postgresql://web@127.0.0.1:1/app' }));
    const { code, err } = await tenantry(['database', '--config', config]);
    expect(code).toBe(2);
    expect(err).toContain('A database is configured already');
    expect(err).toContain('DATABASE_URL');
  });
});
