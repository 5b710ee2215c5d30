import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ExplainRequest } from '../../src/isolation/index.ts';
import { createShop, items, type Shop } from './shop.ts';

let shop: Shop;
const user = '00000000-0000-7000-8000-00000000aaaa';
const other = '00000000-0000-7000-8000-00000000bbbb';

beforeAll(async () => {
  shop = await createShop(`${items}
    create table public.mail (id int primary key, tenant_id uuid not null, user_id uuid);
    insert into public.mail values (1, :acme, '${user}'), (2, :acme, '${other}'), (3, :acme, null);
    create table public.open (id int primary key, tenant_id uuid);
    insert into public.open values (1, :acme);
  `);
  await shop.isolation.enforce('items');
  await shop.isolation.enforce('mail', { owner: { column: 'user_id', readAll: 'mail.read_all' } });
});
afterAll(async () => {
  await shop.drop();
});

const explain = (request: Partial<ExplainRequest>) =>
  shop.isolation.explain({ table: 'items', key: { id: 15 }, context: { tenantId: shop.acme }, ...request });

/** What explain says must be what happens. */
async function happens(tenant: string | undefined, sql: string): Promise<string> {
  return shop.as(tenant, sql).then(
    (rows) => (rows.length > 0 ? 'allowed' : 'hidden'),
    () => 'refused',
  );
}

describe('explain: why a row is or is not reached', () => {
  it('another tenant’s row is hidden, and says whose it is', async () => {
    const { verdict, findings, sentences, mode } = await explain({});
    expect({ verdict, mode }).toEqual({ verdict: 'hidden', mode: 'enforced' });
    expect(findings.find(({ check }) => check === 'tenant')).toEqual({
      check: 'tenant',
      passes: false,
      sentence: `The row belongs to tenant ${shop.bolt}, the context is tenant ${shop.acme}.`,
    });
    expect(findings.find(({ policy }) => policy === 'tenantry_floor')).toMatchObject({ passes: false });
    expect(sentences[0]).toBe('Hidden: the statement finds no such row, and no error.');
    expect(sentences).toHaveLength(3);
    expect(await happens(shop.acme, 'select * from public.items where id = 15')).toBe(verdict);
  });

  it('an own row is allowed; a row that is not there is absent', async () => {
    expect(await explain({ context: { tenantId: shop.bolt } })).toMatchObject({ verdict: 'allowed' });
    expect(await explain({ key: { id: 999 } })).toMatchObject({
      verdict: 'absent',
      sentences: ['There is no such row.', 'public.items has no such row, for anybody.'],
    });
  });

  it('the same for writes, and a row of nobody', async () => {
    for (const operation of ['update', 'delete'] as const)
      expect(await explain({ operation })).toMatchObject({ verdict: 'hidden' });
    expect(await explain({ operation: 'insert' })).toMatchObject({ verdict: 'refused' });
    await shop.db.query("insert into public.items values (50, null, 'nobody')");
    expect((await explain({ key: { id: 50 } })).sentences).toContain('The row belongs to no tenant.');
  });

  it('without a tenant: hidden, and refused under strict binding', async () => {
    expect(await explain({ context: {} })).toMatchObject({ verdict: 'hidden' });
    await shop.isolation.strictBinding(true);
    const { verdict, sentences } = await explain({ context: {} });
    await shop.isolation.strictBinding(false);
    expect(verdict).toBe('refused');
    expect(sentences).toContain('The context names no tenant, and strict binding makes that an error.');
  });

  it('the owner rule: own, nobody’s, somebody else’s', async () => {
    const of = (id: number) => explain({ table: 'mail', key: { id }, context: { tenantId: shop.acme, userId: user } });
    expect(await of(1)).toMatchObject({
      verdict: 'allowed',
      findings: expect.arrayContaining([expect.objectContaining({ check: 'owner', passes: true })]),
    });
    expect(await of(3)).toMatchObject({ verdict: 'allowed' });
    const foreign = await of(2);
    expect(foreign.verdict).toBe('hidden');
    expect(foreign.sentences.join(' ')).toContain(`user ${other}’s; only the permission mail.read_all reads past that`);
    expect(foreign.sentences.join(' ')).toContain('Policy tenantry_rows (restrictive) does not let the row through.');
  });

  it('a login without the right is refused; one that no policy binds is told as such', async () => {
    await shop.db.query('create table public.secret (id int primary key, tenant_id uuid)');
    expect(await explain({ table: 'secret', key: { id: 1 } })).toMatchObject({ verdict: 'refused', mode: 'unknown' });
    const { verdict, sentences } = await explain({ login: 'tenantry_admin' });
    expect(verdict).toBe('allowed');
    expect(sentences.join(' ')).toContain(
      'No policy binds tenantry_admin: it has the rights of the owner, tenantry_owner.',
    );
    await expect(explain({ login: 'nobody' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
  });

  it('modes: off allows, shadow counts, and drift is named', async () => {
    await shop.isolation.shadow('open');
    const request = { table: 'open', key: { id: 1 }, context: { tenantId: shop.bolt } };
    expect(await explain(request)).toMatchObject({ verdict: 'counted', mode: 'shadow' });
    expect(await explain({ ...request, context: { tenantId: shop.acme } })).toMatchObject({ verdict: 'allowed' });
    await shop.isolation.off('open');
    expect(await explain(request)).toMatchObject({ verdict: 'allowed', mode: 'off' });
    await shop.isolation.enforce('open');
    await shop.db.query('alter table public.open disable row level security');
    expect((await explain(request)).sentences.join(' ')).toContain(
      'But row-level security is disabled: run tenantry doctor.',
    );
  });

  it('names what is wrong with the question', async () => {
    await expect(explain({ key: {} })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    await expect(explain({ key: { nope: 1 } })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    await expect(explain({ table: 'nowhere' })).rejects.toMatchObject({ code: 'TNT_TABLE_UNKNOWN' });
  });
});
