import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { loadConfig } from '../../src/config/load.ts';
import { addTenancy } from '../../src/config/tenancy.ts';

describe('configuration', () => {
  it('is filled with defaults and from the environment, and the file wins', () => {
    const config = parseConfig(
      { max: 3, schema: 'mine' },
      { DATABASE_URL: 'postgresql://web@db/app', TENANTRY_SCHEMA: 'other' },
    );
    expect(config).toMatchObject({
      max: 3,
      schema: 'mine',
      databaseUrl: 'postgresql://web@db/app',
      missingContext: 'error',
      pooler: 'none',
    });
    expect(config.embedded).toEqual({ folder: '.tenantry', settings: {} });
  });

  it.each([
    [{ maxx: 3 }, /maxx/],
    [{ max: 0 }, /max/],
    [{ schema: 'a"b' }, /schema: must be lower-case/],
    [{ embedded: { port: 70_000 } }, /embedded\.port/],
    [{ doctor: { ignore: [{ key: 'TD001:x' }] } }, /doctor\.ignore\.0\.reason/],
    ['text', /default export must be an object/],
  ])('refuses %j and names the field', (input, message) => {
    expect(() => parseConfig(input, {})).toThrow(
      expect.objectContaining({ code: 'TNT_CONFIG_INVALID', message: expect.stringMatching(message) }),
    );
  });

  it('names the variable and never shows a value that may hold a password', () => {
    try {
      parseConfig({}, { DATABASE_URL: 'mysql://root:hunter2@db/app' });
      expect.unreachable();
    } catch (error) {
      expect(String(error)).toContain('DATABASE_URL: databaseUrl: must be a URL');
      expect(JSON.stringify(error)).not.toContain('hunter2');
      expect(String(error)).not.toContain('hunter2');
    }
  });
});

describe('configuration file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tenantry-config-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('may be TypeScript', async () => {
    writeFileSync(
      join(folder, 'tenantry.config.ts'),
      'const max: number = 7;\nexport default { max } satisfies { max: number };\n',
    );
    expect((await loadConfig({ folder })).max).toBe(7);
  });

  it('may be JSON or JavaScript', async () => {
    writeFileSync(join(folder, 'tenantry.config.json'), '{"max": 8}');
    expect((await loadConfig({ folder })).max).toBe(8);
    writeFileSync(join(folder, 'tenantry.config.mjs'), 'export default { max: 9 };');
    expect((await loadConfig({ folder, file: 'tenantry.config.mjs' })).max).toBe(9);
  });

  it('that is malformed, or named and absent, is one clear line', async () => {
    writeFileSync(join(folder, 'tenantry.config.json'), '{"max": ');
    await expect(loadConfig({ folder })).rejects.toMatchObject({
      code: 'TNT_CONFIG_INVALID',
      message: expect.stringContaining('cannot be read'),
    });
    await expect(loadConfig({ folder, file: 'no.ts' })).rejects.toMatchObject({ code: 'TNT_CONFIG_INVALID' });
  });
});

describe('A4: a configuration with an organization and a user', () => {
  const base = { mboxPath: './mail.mbox', ownAddress: 'me@example.com', database: 'postgresql:///mail' };

  it('keeps all it had, and is single-tenant without a user', () => {
    const config = addTenancy(base);
    expect(config).toMatchObject(base);
    expect(config).toMatchObject({ orgId: undefined, userId: undefined, isMultiTenant: false });
    expect(addTenancy(base, { orgId: 'o' }).isMultiTenant).toBe(false);
  });

  it('gives a copy for a user and stays as it was', () => {
    const config = addTenancy(base, { orgId: 'o' });
    const one = config.withUser('u');
    expect(one).toMatchObject({ ...base, orgId: 'o', userId: 'u', isMultiTenant: true });
    expect(config.userId).toBeUndefined();
    expect(one.withUser('v', 'p')).toMatchObject({ orgId: 'p', userId: 'v' });
  });
});
