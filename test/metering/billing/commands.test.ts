import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tenantry } from '../../support/command-line.ts';
import { type StripeServer, startStripeServer } from '../stripe/stripe-server.ts';
import { billingFixture, newCustomer } from './fixture.ts';

const f = billingFixture();
let folder = '';
let stripe: StripeServer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenantry-billing-'));
  stripe = await startStripeServer();
});
afterAll(async () => {
  await stripe.close();
  await rm(folder, { recursive: true });
});
const run = (line: string, more: Record<string, string> = {}) =>
  tenantry(line.split(' '), {
    DATABASE_URL: f.db.appUrl,
    TENANTRY_ADMIN_URL: f.db.adminUrl,
    TENANTRY_OPERATOR_URL: f.db.operatorUrl,
    ...more,
  });

describe('C4: tenantry plans and tenantry invoices', () => {
  it('publish, subscribe, preview, finalize, export, push, void', async () => {
    const { tenantId } = await newCustomer(f);
    const file = join(folder, 'plan.json');
    await writeFile(
      file,
      JSON.stringify({ key: 'cli', tier: 'pro', name: '=Pro "X"', currency: 'EUR', basePrice: '12.50' }),
    );
    expect(await run(`plans publish ${file}`)).toMatchObject({ code: 0, out: 'published cli, version 1\n' });
    expect(await run('plans publish /nowhere.json')).toMatchObject({ code: 2 });
    expect((await run('plans list')).out).toMatch(/support-pro +1 +pro/);
    expect((await run('plans show support-pro')).out).toContain('graduated 0.05 up to 5000, 0.03');
    expect(await run('plans show nope')).toMatchObject({ code: 1 });
    expect(await run('invoices preview')).toMatchObject({ code: 2 });
    const of = `--organization ${tenantId}`;
    expect((await run(`plans subscribe cli ${of} --time-zone Europe/Berlin`)).out).toContain('active cli 1');
    await f.db.query(
      `update tenantry.subscriptions set starts_at = '2026-01-31T23:00:00Z', anchor_local = '2026-02-01 00:00', next_invoice_at = '2026-01-31T23:00:00Z' where tenant_id = $1`,
      [tenantId],
    );
    await f.db.query(
      `update tenantry.subscription_phases set starts_at = '2026-01-31T23:00:00Z' where tenant_id = $1`,
      [tenantId],
    );
    expect((await run(`invoices preview ${of} --period 0`)).out).toContain(
      '2026-02-01 00:00 to 2026-03-01 00:00 (Europe/Berlin)',
    );
    const made = await run(`invoices finalize ${of} --json`);
    const { number, total } = JSON.parse(made.out);
    expect(total).toEqual({ minor: 1250, decimal: '12.50' });
    expect((await run(`invoices list ${of}`)).out).toContain(`${number}  invoice  final`);
    const csv = (await run(`invoices export ${number} ${of}`)).out.split('\r\n');
    expect(csv[1]).toContain(`,base,"'=Pro ""X""",2026-01-31T23:00:00.000Z,2026-02-28T23:00:00.000Z,,12.50,1250`);
    const page = join(folder, 'invoice.html');
    expect((await run(`invoices export ${number} ${of} --format html --output ${page}`)).code).toBe(0);
    expect(await readFile(page, 'utf8')).toContain('=Pro &quot;X&quot;');
    expect(await run(`invoices export ${of} --format html`)).toMatchObject({ code: 2 });
    expect((await run(`invoices push ${of}`, { STRIPE_SECRET_KEY: '' })).code).toBe(2);
    const key = { STRIPE_SECRET_KEY: 'sk_test_local', STRIPE_API_BASE: `http://127.0.0.1:${stripe.port}` };
    expect(await run(`invoices push ${of}`, key)).toMatchObject({ code: 0, out: '1 pushed, 0 failed\n' });
    expect(stripe.items.map(({ amount }) => amount)).toEqual(['1250']);
    expect(await run(`invoices push ${of}`, { ...key, STRIPE_SECRET_KEY: 'sk_test_other' })).toMatchObject({
      code: 0,
      out: '0 pushed, 0 failed\n',
    });
    expect((await run(`invoices void ${number} ${of} --reason mistake`)).out).toBe(`void ${number}\n`);
    const wrong = await run(`invoices push ${of}`, { ...key, STRIPE_SECRET_KEY: 'sk_test_other' });
    expect([wrong.code, wrong.out + wrong.err]).toEqual([1, expect.not.stringContaining('sk_test')]);
  });

  it('finalizes what is over for every organization', async () => {
    const done = await run('invoices finalize --json');
    expect(done.code).toBe(0);
    expect(JSON.parse(done.out)).toMatchObject({ failed: [] });
    expect((await run('invoices finalize')).out).toBe('0 finalized, 0 failed\n');
  });

  it('C4: tenantry usage push: a dry run sends nothing, and nothing is sent twice', async () => {
    const { tenantId, as } = await newCustomer(f);
    const of = `--organization ${tenantId}`;
    await as(async () => {
      await f.t.billing.operator.subscribe({
        plan: 'support-pro',
        startsAt: new Date(Date.now() - 86_400_000),
        trialDays: 0,
      });
      await f.t.usage.record({ id: 'e', metric: 'conversations', quantity: '2.5' });
    });
    await f.db.query(`insert into tenantry.stripe_customers (tenant_id, customer) values ($1, 'cus_1')`, [tenantId]);
    const key = { STRIPE_SECRET_KEY: 'sk_test_local', STRIPE_API_BASE: `http://127.0.0.1:${stripe.port}` };
    const meter = '--meter conversations=conversations';
    expect(await run(`usage push ${of} ${meter}`, { STRIPE_SECRET_KEY: '' })).toMatchObject({ code: 2 });
    expect(await run(`usage push ${of}`, key)).toMatchObject({ code: 2 });
    expect(await run(`usage push ${of} --meter Conversations`, key)).toMatchObject({ code: 2 });
    const sent = () => stripe.requests.filter(({ path }) => path.includes('meter_events')).length;
    const before = sent();
    const dry = await run(`usage push ${of} ${meter} --dry-run --json`, key);
    expect([dry.code, JSON.parse(dry.out)]).toEqual([
      0,
      { days: [expect.objectContaining({ tenantId, metric: 'conversations', sent: '0', missing: '2.5' })] },
    ]);
    expect(sent()).toBe(before);
    expect(await run(`usage push ${of} ${meter}`, key)).toMatchObject({ code: 0, out: '1 pushed, 0 failed\n' });
    expect(await run(`usage push ${meter}`, key)).toMatchObject({ code: 0, out: '0 pushed, 0 failed\n' });
    expect(sent()).toBe(before + 1);
    expect((await run(`usage push ${of} ${meter} --dry-run`, key)).out).toContain('0 days to push');
  });
});
