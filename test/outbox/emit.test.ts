import { describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';

const f = directoryFixture();

const emitted = (tenantId: string): Promise<{ topic: string; seq: string }[]> =>
  f.db.query('select topic, seq from tenantry.outbox where tenant_id = $1 order by seq', [tenantId]);

describe('tenantry.emit()', () => {
  it("writes in the caller's transaction, in the order of commits and without gaps", async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await f.kernel.query(`select tenantry.emit($1, 'a.one', '{}')`, [a.tenantId]);
      await f.kernel
        .transaction(async (tx) => {
          await tx.query(`select tenantry.emit($1, 'a.lost', '{}')`, [a.tenantId]);
          throw new Error('no');
        })
        .catch(() => {});
      // begun first, committed last
      await f.kernel.transaction(async (tx) => {
        await tx.query(`select tenantry.emit($1, 'a.three', '{}')`, [a.tenantId]);
        await f.kernel.query(`select tenantry.emit($1, 'a.two', '{}')`, [a.tenantId]);
        await tx.query(`select tenantry.emit($1, 'a.four', '{}')`, [a.tenantId]);
      });
    });
    expect(await emitted(a.tenantId)).toEqual([
      { topic: 'a.one', seq: '1' },
      { topic: 'a.two', seq: '2' },
      { topic: 'a.three', seq: '3' },
      { topic: 'a.four', seq: '4' },
    ]);
  });

  it('takes a key once, also from twenty at once', async () => {
    const a = await newOrganization(f);
    const ids = await a.asAdmin(() =>
      Promise.all(
        Array.from({ length: 20 }, async () => {
          const [row] = await f.kernel.query<{ id: string }>(`select tenantry.emit($1, 'a.once', '{}', 'k') as id`, [
            a.tenantId,
          ]);
          return row?.id;
        }),
      ),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await emitted(a.tenantId)).toHaveLength(1);
  });

  it('is refused for another tenant, and without one', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    await withTenant({ tenantId: a.tenantId }, async () => {
      await expect(f.kernel.query(`select tenantry.emit($1, 'a.forged', '{}')`, [b.tenantId])).rejects.toMatchObject({
        code: '42501',
      });
      await expect(f.kernel.query('select payload from tenantry.outbox')).rejects.toMatchObject({ code: '42501' });
    });
    expect(await emitted(b.tenantId)).toEqual([]);
  });
});
