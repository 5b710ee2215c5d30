import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { listAuditEntries, readChain, selectCheckpoints, selectSpan } from '../../src/audit/queries/entries.ts';
import { createKernel, type Kernel } from '../../src/database/kernel.ts';
import { claimQueues, nextDue } from '../../src/outbox/queries/dispatch.ts';
import {
  listAttempts,
  listDeliveries,
  listEndpoints,
  selectEndpoint,
  selectTarget,
} from '../../src/outbox/queries/endpoints.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const plans: string[] = [];

/** Explains instead of running. */
const explaining = (tx: Kernel): Kernel => ({
  ...tx,
  async query(text, values) {
    const rows = await tx.query<Record<string, unknown>>(`explain ${text}`, values);
    plans.push(rows.map((row) => String(row['QUERY PLAN'])).join('\n'));
    return [];
  },
});

/** The statements inside of functions, with their variables as parameters. */
const inside = [
  `select * from tenantry.outbox_queues x where x.tenant_id = $1::uuid and x.id = $2::uuid and x.lease = $2::uuid for no key update`,
  `select o.id from tenantry.outbox o where o.tenant_id = $1::uuid and o.seq > 7 and tenantry.topic_matches(o.topic, array['*', $2::uuid::text])
     order by o.seq limit 20`,
  `select x.id from tenantry.outbox x where x.tenant_id = $1::uuid and x.number >= 7 and x.seq is null and x.id <> $2::uuid`,
  `select d.id from tenantry.outbox_deliveries d where d.tenant_id = $1::uuid and d.queue_id = $2::uuid and d.state = 'replay' and d.retry_at <= now()`,
  `select w.id from tenantry.webhook_endpoints w where w.tenant_id = $1::uuid and w.status = 'enabled' and w.id <> $2::uuid`,
  `select * from tenantry.audit_pending x where x.tenant_id = $1::uuid and x.number >= 7 and x.resource_id = $2::uuid order by x.number`,
  `select * from tenantry.tenant_heads h where h.tenant_id = $1::uuid and $2::uuid is not null for no key update`,
  `select q.tenant_id, q.id from tenantry.outbox_queues q where q.due_at <= clock_timestamp() and q.tenant_id <> $1::uuid and q.id <> $2::uuid
     order by q.due_at limit 64`,
];

describe('F4: plans', () => {
  beforeAll(async () => {
    const a = await newOrganization(f);
    const [t, id] = [a.tenantId, randomUUID()];
    await a.asAdmin(() =>
      createKernel(f.pool).transaction(async (tx) => {
        await tx.query('set local enable_seqscan = off'); // small tables: whether an index can serve, not whether it pays
        const e = explaining(tx);
        await listAuditEntries(e, t, {}, undefined, 50);
        await listAuditEntries(e, t, { resourceId: id }, undefined, 50);
        await listAuditEntries(e, t, { actorPrincipalId: id }, undefined, 50);
        for await (const _ of readChain(e, t));
        await selectSpan(e, t, new Date(0), undefined);
        await selectCheckpoints(e, t);
        await selectEndpoint(e, t, id);
        await selectTarget(e, t, id);
        await listEndpoints(e, t, undefined, 50);
        await listDeliveries(e, t, {}, undefined, 50);
        await listDeliveries(e, t, { endpointId: id, state: 'dead' }, undefined, 50);
        await listAttempts(e, t, id);
      }),
    );
    await createKernel(f.db.admin).transaction(async (tx) => {
      await tx.query('set local enable_seqscan = off');
      for (const text of inside) await explaining(tx).query(text, [t, id]);
    });
  });

  it('every statement that is scoped by tenant uses an index', () => {
    expect(plans).toHaveLength(20);
    for (const plan of plans) {
      expect(plan).toMatch(/Index (Only )?Scan|Bitmap Index Scan/);
      expect(plan, plan).not.toMatch(/Seq Scan on (audit_|outbox|webhook_|tenant_heads)/);
    }
  });

  it('what the dispatcher asks before it knows a tenant is answered', async () => {
    const claim = { consumers: [], webhooks: true, busy: [], perTenant: 1, limit: 1, leaseMs: 1_000 };
    const kernel = createKernel(f.db.admin);
    expect(await claimQueues(kernel, claim)).toEqual([]);
    expect(await nextDue(kernel, [], true)).toBeNull();
  });
});
