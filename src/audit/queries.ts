import type { Kernel } from '../database/kernel.ts';
import { type Queryable, renderSchema } from '../database/sql.ts';
import { instantText } from '../directory/queries/columns.ts';
import type { AuditEntry } from './schema.ts';

export interface NewAuditEntry {
  readonly tenantId: string;
  readonly action: string;
  readonly workspaceId: string | undefined;
  readonly resourceId: string | undefined;
  readonly details: object;
  readonly requestId: string | undefined;
  readonly traceId: string | undefined;
}

/** Without RETURNING: who may write an entry need not be able to read the log. */
export async function insertAuditEntry(kernel: Kernel, entry: NewAuditEntry): Promise<void> {
  await kernel.query(
    `insert into tenantry.audit_pending (tenant_id, action, workspace_id, resource_id, details, request_id, trace_id)
     values ($1::uuid, $2::text, $3::uuid, $4::uuid, $5::jsonb, $6::text, $7::text)`,
    [
      entry.tenantId,
      entry.action,
      entry.workspaceId ?? null,
      entry.resourceId ?? null,
      JSON.stringify(entry.details),
      entry.requestId ?? null,
      entry.traceId ?? null,
    ],
  );
}

export async function listAuditEntries(
  kernel: Kernel,
  tenantId: string,
  filter: { resourceId?: string | undefined; actorPrincipalId?: string | undefined },
  after: { value: string; id: string } | undefined,
  limit: number,
): Promise<{ entry: AuditEntry; position: string }[]> {
  const values: unknown[] = [tenantId, limit];
  const add = (value: unknown): number => values.push(value);
  const conditions = [
    ...(filter.resourceId === undefined ? [] : [`a.resource_id = $${add(filter.resourceId)}::uuid`]),
    ...(filter.actorPrincipalId === undefined ? [] : [`a.actor_principal_id = $${add(filter.actorPrincipalId)}::uuid`]),
    ...(after === undefined ? [] : [`(a.at, a.id) < ($${add(after.value)}::timestamptz, $${add(after.id)}::uuid)`]),
  ].map((condition) => ` and ${condition}`);
  const rows = await kernel.query<AuditEntry & { position: string }>(
    `select a.tenant_id as "tenantId", a.id, a.at, a.action, a.actor_principal_id as "actorPrincipalId",
       a.workspace_id as "workspaceId", a.resource_id as "resourceId", a.details, a.request_id as "requestId",
       a.trace_id as "traceId", ${instantText('a.at')} as position
     from tenantry.audit_log a where a.tenant_id = $1::uuid${conditions.join('')}
     order by a.at desc, a.id desc limit $2::int`,
    values,
  );
  return rows.map(({ position, ...entry }) => ({ entry, position }));
}

export async function insertOperatorEntry(
  connection: Queryable,
  schema: string,
  entry: { reason: string; details: object; traceId: string | undefined },
): Promise<void> {
  await connection.query(
    renderSchema(
      'insert into tenantry.operator_log (reason, details, trace_id) values ($1::text, $2::jsonb, $3::text)',
      schema,
    ),
    [entry.reason, JSON.stringify(entry.details), entry.traceId ?? null],
  );
}

export async function maintainPartitions(kernel: Kernel): Promise<number> {
  const [row] = await kernel.query<{ made: number }>('select tenantry.audit_maintain() as made');
  return row?.made ?? 0;
}
