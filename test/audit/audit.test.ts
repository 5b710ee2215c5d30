import { randomUUID } from 'node:crypto';
import { context, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import pg from 'pg';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { auditEntrySchema, createAudit, operatorAudit } from '../../src/audit/index.ts';
import { withTenant, withUser } from '../../src/context/index.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const exporter = new InMemorySpanExporter();

beforeAll(() => {
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
});
afterAll(() => {
  trace.disable();
  context.disable();
});

describe('D7: audit entries', () => {
  it('carry the same three ids in row, log line (pino) and span (OpenTelemetry)', async () => {
    const lines: Record<string, unknown>[] = [];
    const logger = pino(
      { level: 'info' },
      { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) },
    );
    const audit = createAudit(f.kernel, { logger, trace });
    const a = await newOrganization(f);
    const resourceId = randomUUID();
    const ids = { tenant_id: a.tenantId, workspace_id: a.workspaceId, resource_id: resourceId };
    await withTenant({ tenantId: a.tenantId, userId: a.adminId, workspaceId: a.workspaceId }, () =>
      trace.getTracer('test').startActiveSpan('request', async (span) => {
        await audit.record({ action: 'prompt.published', resourceId, details: { from: 'draft' }, requestId: 'r-1' });
        span.end();
      }),
    );
    const [span] = exporter.getFinishedSpans();
    expect(span!.attributes).toEqual(ids);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({
      ...ids,
      action: 'prompt.published',
      actor: a.adminId,
      request_id: 'r-1',
      trace_id: span!.spanContext().traceId,
    });
    const { items } = await a.asAdmin(() => audit.list());
    expect(auditEntrySchema.parse(items[0])).toMatchObject({
      tenantId: a.tenantId,
      workspaceId: a.workspaceId,
      resourceId,
      action: 'prompt.published',
      actorPrincipalId: a.adminId,
      details: { from: 'draft' },
      requestId: 'r-1',
      traceId: span!.spanContext().traceId,
    });
  });

  it('are written without logger and tracing, by any member or a job of the tenant, and read with audit.read alone', async () => {
    const a = await newOrganization(f);
    const userId = await a.member();
    await a.as(userId, async () => {
      await f.audit.record({ action: 'viewed', workspaceId: a.workspaceId });
      expect((await f.audit.list()).items).toEqual([]);
    });
    await withTenant({ tenantId: a.tenantId }, () => f.audit.record({ action: 'nightly' }));
    await a.asAdmin(async () => {
      const { items } = await f.audit.list();
      expect(items.map((e) => [e.action, e.actorPrincipalId])).toEqual([
        ['nightly', a.tenantId],
        ['viewed', userId],
      ]);
      const first = await f.audit.list({ limit: 1 });
      const second = await f.audit.list({ limit: 1, cursor: first.nextCursor! });
      expect([...first.items, ...second.items]).toEqual(items);
      expect((await f.audit.list({ actorPrincipalId: userId })).items).toEqual([items[1]]);
      expect((await f.audit.list({ resourceId: randomUUID() })).items).toEqual([]);
      await expect(f.audit.list({ cursor: 'x' })).rejects.toMatchObject({ code: 'TNT_CURSOR_INVALID' });
      await expect(f.audit.record({ action: '' })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
    });
    const b = await newOrganization(f);
    expect((await b.asAdmin(() => f.audit.list())).items).toEqual([]);
    await expect(withUser({ userId }, () => f.audit.record({ action: 'x' }))).rejects.toMatchObject({
      code: 'TNT_CONTEXT_MISSING',
    });
  });

  it("stand or fall with the caller's transaction", async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await expect(
        f.kernel.transaction(async (tx) => {
          await f.audit.record({ action: 'lost' }, tx);
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      await f.kernel.transaction((tx) => f.audit.record({ action: 'kept' }, tx));
      expect((await f.audit.list()).items.map((e) => e.action)).toEqual(['kept']);
    });
  });

  it('cannot be forged, changed or removed', async () => {
    const [a, b] = [await newOrganization(f), await newOrganization(f)];
    await a.asAdmin(async () => {
      await f.audit.record({ action: 'done' });
      for (const text of [
        `insert into tenantry.audit_log (tenant_id, action, actor_principal_id) values ('${a.tenantId}', 'x', '${b.adminId}')`,
        `insert into tenantry.audit_log (tenant_id, action) values ('${b.tenantId}', 'x')`,
        `insert into tenantry.audit_log (tenant_id, action, at) values ('${a.tenantId}', 'x', now() - interval '1 year')`,
        `update tenantry.audit_log set action = 'x'`,
        'delete from tenantry.audit_log',
        'truncate tenantry.audit_log',
        'select * from tenantry.operator_log',
        `insert into tenantry.operator_log (reason) values ('x')`,
      ]) {
        await expect(f.kernel.query(text), text).rejects.toMatchObject({ code: '42501' });
      }
    });
    for (const text of [
      `update tenantry.audit_log set action = 'x' where tenant_id = $1`,
      'delete from tenantry.audit_log where tenant_id = $1',
    ]) {
      await expect(f.db.query(text, [a.tenantId])).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('operators leave theirs before they cross tenants, on their own connection', async () => {
    const operator = new pg.Client({ connectionString: f.db.operatorUrl });
    await operator.connect();
    const lines: object[] = [];
    const record = operatorAudit('tenantry', { logger: { info: (fields) => lines.push(fields) }, trace });
    await operator.query('begin');
    await operator.query('set local role tenantry_owner');
    await record(operator, { reason: 'support case 7', details: { table: 'resources' } });
    await operator.query('commit');
    await operator.end();
    expect(await f.db.query('select operator, reason, details, trace_id from tenantry.operator_log')).toEqual([
      { operator: 'tenantry_test_operator', reason: 'support case 7', details: { table: 'resources' }, trace_id: null },
    ]);
    expect(lines).toEqual([{ reason: 'support case 7' }]);
    // the owner of the tables is who an operator acts as
    for (const text of [
      "update tenantry.operator_log set reason = 'x'",
      'delete from tenantry.operator_log',
      'truncate tenantry.operator_log',
      'truncate tenantry.audit_log',
      'truncate tenantry.organizations cascade',
    ]) {
      await expect(f.db.query(text), text).rejects.toMatchObject({ code: '42501' });
    }
  });
});
