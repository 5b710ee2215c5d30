import { describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createIsolation } from '../../src/isolation/index.ts';
import { createPool } from '../../src/pool/index.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const table = 'tenantry.resources';

async function fixtureOfTwo() {
  const [a, b] = [await newOrganization(f), await newOrganization(f)];
  for (const o of [a, b]) {
    await o.asAdmin(() =>
      f.resources.create({ type: 'tag', name: 'x', workspaceId: o.workspaceId, visibility: 'org' }),
    );
  }
  const pool = createPool({ connectionString: f.db.appUrl, max: 2, missingContext: 'count' });
  const ids = [a.tenantId, b.tenantId];
  const count = async (): Promise<number> =>
    (
      (await pool.query(`select count(*)::int as n from ${table} where tenant_id = any ($1)`, [ids])).rows[0] as {
        n: number;
      }
    ).n;
  return {
    a,
    b,
    pool,
    isolation: createIsolation({ admin: f.db.admin }),
    /** Without a context, as a member, and as a job of the tenant. */
    three: async () => [
      await count(),
      await withTenant({ tenantId: a.tenantId, userId: a.adminId }, count),
      await withTenant({ tenantId: a.tenantId }, count),
    ],
    /** A write to the other tenant's row, of its sharing too. */
    trespass: () =>
      a.asAdmin(() =>
        pool.query(
          `update ${table} set name = 'renamed', visibility = 'workspace' where tenant_id = $1 returning name`,
          [b.tenantId],
        ),
      ),
  };
}

describe('D4: policies on resources, in every mode', () => {
  it('in shadow every query answers the same with and without a context; enforced they apply again', async () => {
    const { a, pool, isolation, three, trespass } = await fixtureOfTwo();
    try {
      expect(await three()).toEqual([0, 1, 1]);
      await isolation.shadow(table);
      expect(await three()).toEqual([2, 2, 2]);
      expect((await trespass()).rows).toEqual([{ name: 'renamed' }]);
      await isolation.enforce(table, { force: true });
      expect(await three()).toEqual([0, 1, 1]);
      expect((await trespass()).rows).toEqual([]);
      const policies = await f.db.query(
        `select polname from pg_policy where polrelid = '${table}'::regclass order by 1`,
      );
      expect(policies.map((p) => p['polname'])).toEqual(
        ['delete', 'insert', 'select', 'update'].map((c) => `tenantry_resource_${c}`),
      );
      expect(await a.asAdmin(() => f.resources.list())).toMatchObject({ items: [{ tenantId: a.tenantId }] });
    } finally {
      await pool.end();
    }
  });

  it('off, they apply to nobody; enforced they apply again', async () => {
    const { pool, isolation, three, trespass } = await fixtureOfTwo();
    try {
      await isolation.shadow(table);
      await isolation.off(table);
      expect(await three()).toEqual([2, 2, 2]);
      expect((await trespass()).rows).toEqual([{ name: 'renamed' }]);
      await isolation.enforce(table, { force: true });
      expect(await three()).toEqual([0, 1, 1]);
    } finally {
      await pool.end();
    }
  });

  it('a list shows the same the first and the second time, in every mode', async () => {
    const { a, pool, isolation } = await fixtureOfTwo();
    const member = await a.member();
    const names = () => a.as(member, async () => (await f.resources.list()).items.map((r) => r.name));
    try {
      await a.asAdmin(() => f.resources.create({ type: 'tag', name: 'private', workspaceId: a.workspaceId }));
      await isolation.shadow(table);
      expect([await names(), await names()]).toEqual([['x'], ['x']]);
      await isolation.off(table);
      expect([await names(), await names()]).toEqual([['x'], ['x']]);
      await isolation.enforce(table, { force: true });
      expect([await names(), await names()]).toEqual([['x'], ['x']]);
    } finally {
      await pool.end();
    }
  });
});
