import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { operatorAudit } from '../../src/audit/index.ts';
import { createOperatorPool, type OperatorPool, withoutTenant } from '../../src/pool/index.ts';
import { asA, asB, count, poolFixture } from './fixture.ts';

const at = poolFixture();
let operator: OperatorPool;

beforeAll(() => {
  operator = createOperatorPool(at.database.operatorUrl, { max: 1 }) as OperatorPool;
});
afterAll(() => operator.end());

describe('B13 across tenants, by an operator alone and recorded', () => {
  it('sees every tenant: query, parameters, transaction, several statements', async () => {
    await withoutTenant(
      'totals',
      async (db) => {
        expect(await count(db)).toBe(15);
        expect(
          (await db.query('select body from notes where body in ($1, $2) order by 1', ['a1', 'b1'])).rows,
        ).toHaveLength(2);
        expect((await db.query('select 1; select count(*)::int n from notes')) as unknown).toMatchObject([
          {},
          { rows: [{ n: 15 }] },
        ]);
        const client = await db.connect();
        await client.query('begin');
        expect(await count(client)).toBe(15);
        await client.query('rollback');
        client.release();
      },
      { operator },
    );
  });

  it('takes the role for each statement alone', async () => {
    const { rows } = await operator.query('select current_user as who');
    expect(rows).toEqual([{ who: 'tenantry_owner' }]);
    expect((await operator.query('show role')).rows).toEqual([{ role: 'none' }]);
  });

  it('leaves an entry, and does nothing when it cannot', async () => {
    await withoutTenant('support case 7', (db) => count(db), {
      operator,
      audit: operatorAudit(),
      details: { case: 7 },
    });
    const { rows } = await operator.query('select reason, details, operator from tenantry.operator_log');
    expect(rows).toEqual([{ reason: 'support case 7', details: { case: 7 }, operator: 'tenantry_test_operator' }]);
    let ran = false;
    const failing = withoutTenant(
      'no',
      () => {
        ran = true;
      },
      { operator, audit: () => Promise.reject(new Error('disk full')) },
    );
    await expect(failing).rejects.toThrow('disk full');
    expect(ran).toBe(false);
  });

  it('without an operator connection there is no way', async () => {
    expect(createOperatorPool(undefined)).toBeUndefined();
    expect(createOperatorPool('')).toBeUndefined();
    const refused = withoutTenant('why', () => 1, { operator: undefined });
    await expect(refused).rejects.toMatchObject({ code: 'TNT_OPERATOR_UNAVAILABLE' });
    await expect(withoutTenant(' ', () => 1, { operator })).rejects.toMatchObject({ code: 'TNT_CONTEXT_INVALID' });
  });

  it('gives the application pool no tenant inside, and the tenant back outside', async () => {
    await asA(async () => {
      expect(await withoutTenant('look', () => count(at.pool), { operator })).toBe(0);
      expect(await count(at.pool)).toBe(10);
    });
    expect(await asB(() => count(at.pool))).toBe(5);
  });

  it('the application login cannot do the same', async () => {
    await expect(asA(() => at.pool.query("select set_config('role', 'tenantry_owner', true)"))).rejects.toMatchObject({
      code: '42501',
    });
  });
});
