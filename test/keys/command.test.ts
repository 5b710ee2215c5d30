import { Readable } from 'node:stream';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../../src/cli/commands/index.ts';
import { parseEnd, parseRate, parseSpan } from '../../src/cli/commands/keys/spans.ts';
import { newKey } from '../../src/keys/format.ts';
import { tenantry } from '../support/command-line.ts';
import { type Customer, keysFixture, newCustomer, pepper, refusalOf } from './fixture.ts';

const f = keysFixture({ cache: false, failures: false });
const stdin = Object.getOwnPropertyDescriptor(process, 'stdin')!;
afterEach(() => Object.defineProperty(process, 'stdin', stdin));

describe('tenantry keys', () => {
  let a: Customer;
  let slug: string;
  beforeAll(async () => {
    a = await newCustomer(f);
    slug = (await a.asAdmin(() => f.t.organizations.get(a.tenantId)))!.slug;
  });
  const run = async (argv: string[], input?: string) => {
    if (input !== undefined)
      Object.defineProperty(process, 'stdin', { value: Readable.from([input]), configurable: true });
    return tenantry(['keys', ...argv], {
      DATABASE_URL: f.db.appUrl,
      TENANTRY_ADMIN_URL: f.db.adminUrl,
      TENANTRY_KEY_PEPPER: pepper,
    });
  };
  const json = async (argv: string[], input?: string) => {
    const { code, out, err } = await run([...argv, '--json'], input);
    expect([code, err]).toEqual([0, expect.anything()]);
    return JSON.parse(out);
  };

  it('makes, shows, lists, rotates, switches, revokes and restores', async () => {
    const made = await json([
      'create',
      '--organization',
      slug,
      '--name',
      'Server',
      '--permission',
      'read',
      '--permission',
      'write',
      '--namespace',
      'live',
      '--rate',
      '100/1m',
      '--expires',
      '30d',
    ]);
    expect(made.apiKey).toMatchObject({
      name: 'Server',
      permissions: ['read', 'write'],
      namespaceId: a.namespaceId,
      rateLimit: { limit: 100, periodMs: 60_000 },
    });
    expect((await f.t.keys.verify(made.key)).keyId).toBe(made.apiKey.id);
    const at = ['--organization', a.tenantId];
    const { id } = made.apiKey;
    expect((await json(['show', id, ...at])).secrets).toHaveLength(1);
    expect((await json(['list', ...at, '--limit', '1'])).items[0].id).toBe(id);
    const rotated = await json(['rotate', id, ...at, '--overlap', '0']);
    expect(await refusalOf(f.t.keys.verify(made.key))).toBe('TNT_KEY_INACTIVE expired');
    expect((await json(['rotate', id, ...at])).apiKey.secrets).toHaveLength(3);
    const steps: [string[], string][] = [
      [['disable', id], 'TNT_KEY_INACTIVE disabled'],
      [['enable', id], 'accepted'],
      [['revoke', id, '--reason', 'left', '--restore-within', '1h'], 'TNT_KEY_INACTIVE revoked'],
      [['restore', id], 'accepted'],
      [['expire', id, '--at', '7d'], 'accepted'],
      [['revoke', id], 'TNT_KEY_INACTIVE revoked'],
      [['restore', id], 'accepted'],
      [['expire', id], 'TNT_KEY_INACTIVE expired'],
    ];
    for (const [argv, state] of steps) {
      await json([...argv, ...at]);
      expect(await refusalOf(f.t.keys.verify(rotated.key)), argv.join(' ')).toBe(state);
    }
    const shown = await run(['show', id, ...at]);
    expect(shown.out).toMatch(/begins +sk_live_\w{12}…/);
    const list = await run(['list', ...at, '--limit', '1']);
    expect(list.out).toContain('Server');
    for (const { out } of [shown, list]) expect(out).not.toContain(made.key.slice(20, 60));
  });

  it('prints a new key once, on standard output and alone there', async () => {
    const { out, err } = await run([
      'create',
      '--organization',
      slug,
      '--name',
      'W',
      '--kind',
      'widget',
      '--origin',
      'https://a.example.com',
      '--environment',
      'staging',
    ]);
    expect(out).toMatch(/^pk_widget_[0-9A-Za-z]{61}\n$/);
    expect(err).toContain('shown this once');
    expect(err).not.toContain(out.trim());
  });

  it('takes keys over from standard input', async () => {
    const lines = [
      { name: 'one', key: 'from-elsewhere-1' },
      { name: 'two', key: 'from-elsewhere-2', permissions: ['write'] },
    ].map((line) => JSON.stringify(line));
    const argv = ['import', '--organization', slug, '--namespace', 'live'];
    expect((await run([...argv, '--dry-run'], lines.join('\n'))).out).toContain('2 keys can be imported');
    expect(await refusalOf(f.t.keys.verify('from-elsewhere-1'))).toBe('TNT_KEY_INVALID');
    expect((await run(argv, `${lines.join('\n')}\n\n`)).out).toContain('2 keys imported');
    expect(await f.t.keys.verify('from-elsewhere-2')).toMatchObject({
      namespaceId: a.namespaceId,
      permissions: ['write'],
    });
    const wrong = await run(argv, `${lines[0]}\n{`);
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('Line 2 is not JSON')]);
    expect(wrong.err).not.toContain('from-elsewhere');
  });

  it('tells keys from other texts, and whose they are', async () => {
    const { key, apiKey } = await a.asAdmin(() => f.t.keys.create({ name: 'k' }));
    expect(await run(['check'], `${key}\n`)).toMatchObject({ code: 0, out: 'It is a key of Tenantry.\n' });
    expect((await run(['check'], `${key}x`)).code).toBe(3);
    expect((await json(['whose'], key)).keyId).toBe(apiKey.id);
    expect((await run(['whose'], key)).out).toContain(a.tenantId);
    expect((await run(['whose'], newKey('sk_live_').key)).code).toBe(1);
    const { out } = await run(['pattern']);
    expect(new RegExp(out.trim()).test(`key=${key}`)).toBe(true);
    expect(
      (await json(['report-leak', '--by', 'ann@example.com', '--url', 'https://x.example.com'], key)).revoked,
    ).toBe(true);
    expect((await run(['report-leak', '--by', 'ann@example.com'], key)).out).toContain('Nothing to revoke');
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
  });

  it.each([
    [['list'], 2, '--organization is needed'],
    [['list', '--organization', 'nobody-there'], 1, 'There is no organization'],
    [['create', '--organization', 'SLUG'], 2, '--name is needed'],
    [['create', '--organization', 'SLUG', '--name', 'x', '--namespace', 'nowhere'], 1, 'There is no namespace'],
    [['create', '--organization', 'SLUG', '--name', 'x', '--kind', 'master'], 2, 'kind'],
    [['create', '--organization', 'SLUG', '--name', 'x', '--rate', 'often'], 2, '--rate takes'],
    [['create', '--organization', 'SLUG', '--name', 'x', '--expires', 'soon'], 2, '--expires takes'],
    [['show', '0198c7a0-0000-7000-8000-000000000001', '--organization', 'SLUG'], 1, 'There is no such API key'],
    [['report-leak'], 2, '--by is needed'],
  ])('%j ends with %i', async (argv, code, said) => {
    const result = await run(
      argv.map((word) => (word === 'SLUG' ? slug : word)),
      'x',
    );
    expect([result.code, result.err]).toEqual([code, expect.stringContaining(said)]);
  });

  it('reads no secret from its arguments, and says so when none came', async () => {
    expect(await run(['check'], ' \n')).toMatchObject({
      code: 2,
      err: expect.stringContaining('Standard input is empty'),
    });
    for (const command of commands.filter(({ name }) => name.startsWith('keys '))) {
      expect(Object.keys(command.options ?? {})).not.toContain('key');
      expect(command.examples.length).toBeGreaterThan(0);
    }
  });

  it('reads spans, ends and rates', () => {
    expect([parseSpan('x', '0'), parseSpan('x', '90s'), parseSpan('x', '7d'), parseSpan('x', undefined)]).toEqual([
      0,
      90_000,
      604_800_000,
      undefined,
    ]);
    expect(parseEnd('x', '1h', 1_000)).toEqual(new Date(3_601_000));
    expect(parseEnd('x', '2026-11-22T08:00Z')).toEqual(new Date('2026-11-22T08:00Z'));
    expect(parseRate('5/1d')).toEqual({ limit: 5, periodMs: 86_400_000 });
    expect(() => parseEnd('x', '2026-11-22T08:00')).toThrow();
    expect(() => parseRate('0/1d')).toThrow();
    expect(() => parseRate('5')).toThrow();
  });
});
