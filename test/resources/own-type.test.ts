import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { createKernel, type Kernel } from '../../src/database/kernel.ts';
import { createEnvelope, registerResourceType } from '../../src/resources/index.ts';
import { expectIsolated } from '../../src/testing/index.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const guide = readFileSync(fileURLToPath(new URL('../../docs/guides/tenancy.md', import.meta.url)), 'utf8');

describe('D11: a resource type of the adopter, as the guide says', () => {
  beforeAll(async () => {
    await registerResourceType(createKernel(f.db.admin), { name: 'dashboard', description: 'A page of charts' });
    await f.db.query('grant create on schema public to tenantry_owner');
    const sql = /```sql\n([\s\S]*?)```/.exec(guide)?.[1];
    await f.db.admin.query(sql!);
  });

  const create = (kernel: Kernel, workspaceId: string, name: string) =>
    kernel.transaction(async (tx) => {
      const envelope = await createEnvelope(tx, { type: 'dashboard', name, workspaceId });
      await tx.query('insert into public.dashboards (tenant_id, resource_id, layout) values ($1, $2, $3)', [
        envelope.tenantId,
        envelope.id,
        JSON.stringify({ columns: 2 }),
      ]);
      return envelope;
    });

  it('is read and written by those who may read and write the envelope, and goes with it', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    const [reader, stranger] = [await a.member(), await a.member()];
    const older = await a.asAdmin(() => create(f.kernel, a.workspaceId, 'older'));
    const newer = await a.asAdmin(() => create(f.kernel, a.workspaceId, 'newer'));
    await b.asAdmin(() => create(f.kernel, b.workspaceId, 'other'));
    await a.asAdmin(() => f.grants.attach({ resourceId: older.id, principalId: reader }));
    const count = async () => (await f.kernel.query('select 1 from dashboards')).length;
    expect([await a.asAdmin(count), await a.as(reader, count), await a.as(stranger, count)]).toEqual([2, 1, 0]);

    const write = () =>
      f.kernel.query(`update dashboards set layout = '{"columns": 3}' where resource_id = $1 returning 1`, [older.id]);
    expect([(await a.as(reader, write)).length, (await b.asAdmin(write)).length]).toEqual([0, 0]);
    expect(await a.asAdmin(write)).toHaveLength(1);
    const listed = await a.asAdmin(() => f.resources.list({ type: 'dashboard' }));
    expect(listed.items.map((r) => r.id)).toEqual([older.id, newer.id]);

    await expectIsolated('dashboards', {
      pool: f.pool,
      as: { tenantId: a.tenantId, userId: a.adminId },
      others: [
        { tenantId: b.tenantId, userId: b.adminId },
        { tenantId: a.tenantId, userId: stranger },
      ],
    });
    await expect(
      b.asAdmin(() =>
        f.kernel.query('insert into dashboards (tenant_id, resource_id) values ($1, $2)', [b.tenantId, newer.id]),
      ),
    ).rejects.toMatchObject({ code: '42501' });
    await a.asAdmin(() => f.resources.delete(older.id));
    expect(await a.asAdmin(count)).toBe(1);
  });
});
