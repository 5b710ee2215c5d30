import { beforeAll, describe, expect, it } from 'vitest';
import { billingFixture, newCustomer } from '../metering/billing/fixture.ts';
import { tenantry } from '../support/command-line.ts';

const f = billingFixture();
let slug: string;
beforeAll(async () => {
  const customer = await newCustomer(f);
  slug = (await customer.as(() => f.t.organizations.get(customer.tenantId)))!.slug;
});

const run = (...argv: string[]) =>
  tenantry([...argv, '--organization', slug], { DATABASE_URL: f.db.appUrl, TENANTRY_ADMIN_URL: f.db.adminUrl });
const json = async (...argv: string[]) => {
  const { code, out } = await run(...argv, '--json');
  expect([0, 3]).toContain(code);
  return { code, ...JSON.parse(out) };
};

describe('B3: tenantry namespaces', () => {
  it('makes, lists, changes and deletes', async () => {
    const made = await json(
      'namespaces',
      'create',
      '--name',
      'live',
      '--environment',
      'production',
      '--limit',
      'memories_per_month=5',
    );
    expect(made).toMatchObject({ name: 'live', environment: 'production', limits: { memories_per_month: 5 } });
    await json('namespaces', 'create', '--name', 'old');
    expect((await run('namespaces', 'list')).out).toMatch(/live\s+production\s+yes\s+yes\s+memories_per_month=5/);
    expect(
      await json('namespaces', 'update', 'live', '--limit', 'api_calls_per_day=unlimited', '--limit', 'memories=7'),
    ).toMatchObject({ limits: { api_calls_per_day: null, memories: 7 } });
    expect(await json('namespaces', 'update', 'old', '--deactivate', '--default', '--no-limits')).toMatchObject({
      active: false,
      limits: {},
    });
    const refused = await run('namespaces', 'delete', 'old');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('TNT_CONFLICT')]);
    await json('namespaces', 'update', 'live', '--default');
    expect((await run('namespaces', 'delete', 'old')).code).toBe(0);
    expect(JSON.parse((await run('namespaces', 'list', '--json')).out)).toMatchObject([
      { name: 'live', default: true },
    ]);
  });

  it.each([
    [['namespaces', 'create'], '--name'],
    [['namespaces', 'create', '--name', 'x', '--environment', 'qa'], '--environment'],
    [['namespaces', 'create', '--name', 'x', '--limit', 'memories'], 'METRIC=N'],
    [['namespaces', 'create', '--name', 'x', '--limit', 'memories=-1'], '--limit'],
    [['namespaces', 'update', 'live', '--activate', '--deactivate'], '--deactivate'],
    [['limits', 'set', '--metric', 'memories'], '--limit'],
    [['limits', 'set', '--metric', 'memories', '--limit', 'x'], '--limit'],
    [['limits', 'check', '--metric', 'memories', '--period', 'day'], '--period'],
  ])('%j is wrong usage, and says what', async (argv, said) => {
    const { code, err } = await run(...argv);
    expect([code, err]).toEqual([2, expect.stringContaining(said)]);
  });

  it('a namespace or organization that there is not is an error', async () => {
    expect((await run('namespaces', 'update', 'nonsense')).err).toContain('TNT_NOT_FOUND');
    const { code, err } = await tenantry(['namespaces', 'list', '--organization', 'nobody'], {
      DATABASE_URL: f.db.appUrl,
      TENANTRY_ADMIN_URL: f.db.adminUrl,
    });
    expect([code, err]).toEqual([1, expect.stringContaining('TNT_TENANT_UNKNOWN')]);
  });
});

describe('tenantry limits', () => {
  it('sets, shows and removes; check tells by its exit code', async () => {
    expect(await json('limits', 'check', '--metric', 'conversations')).toMatchObject({ code: 0, limits: [] });
    expect(await json('limits', 'set', '--metric', 'conversations', '--limit', '0')).toMatchObject({
      limit: 0,
      hard: true,
    });
    expect(await json('limits', 'check', '--metric', 'conversations')).toMatchObject({ code: 3, allowed: false });
    expect((await run('limits', 'check', '--metric', 'conversations')).out).toMatch(
      /organization\s+organization\s+month\s+0\s+refuses/,
    );
    await json('limits', 'set', '--metric', 'conversations', '--limit', '10', '--soft');
    expect(await json('limits', 'check', '--metric', 'conversations', '--namespace', 'live')).toMatchObject({
      code: 0,
      limits: [{ hard: false, limit: 10, remaining: 10 }],
    });
    expect(await json('limits', 'remove', '--metric', 'conversations')).toMatchObject({ limit: 10 });
    expect((await run('limits', 'remove', '--metric', 'conversations')).err).toContain('TNT_NOT_FOUND');
  });
});
