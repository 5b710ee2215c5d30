import type { Kernel } from '../../database/kernel.ts';
import { type Queryable, renderSchema } from '../../database/sql.ts';
import { instantText } from '../../directory/queries/columns.ts';
import { genesisHash, type StoredEntry } from '../chain.ts';
import type { AuditCheckpoint } from '../checkpoint.ts';
import type { AuditEntry } from '../schema.ts';

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
    `select a.tenant_id as "tenantId", a.id, a.seq::float8 as seq, a.at, a.action, a.actor_principal_id as "actorPrincipalId",
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

/** The exact values that a hash is made of. */
export const storedColumns = `a.tenant_id as "tenantId", a.seq::float8 as seq, (extract(epoch from a.at) * 1000000)::bigint::text as "atMicros",
  a.id, a.action, a.actor_principal_id as "actorPrincipalId", a.workspace_id as "workspaceId", a.resource_id as "resourceId",
  a.details::text as "detailsText", a.request_id as "requestId", a.trace_id as "traceId",
  encode(a.prev_hash, 'hex') as "prevHash", encode(a.hash, 'hex') as hash`;

/** Entries by number, a page at a time; two with one number both come. */
export async function* readChain(
  kernel: Kernel,
  tenantId: string,
  { fromSeq = 0, toSeq }: { fromSeq?: number; toSeq?: number } = {},
  pageSize = 1_000,
): AsyncGenerator<StoredEntry> {
  let after: StoredEntry | undefined;
  for (;;) {
    const rows: StoredEntry[] = await kernel.query<StoredEntry & Record<string, unknown>>(
      `select ${storedColumns} from tenantry.audit_log a
       where a.tenant_id = $1::uuid and a.seq >= $2::bigint and a.seq <= $3::bigint
         and ($4::uuid is null or (a.seq, a.id) > ($2::bigint, $4::uuid))
       order by a.seq, a.id limit $5::int`,
      [tenantId, after?.seq ?? fromSeq, toSeq ?? '9223372036854775807', after?.id ?? null, pageSize],
    );
    yield* rows;
    after = rows.at(-1);
    if (rows.length < pageSize) return;
  }
}

export interface AuditHead {
  readonly seq: number;
  readonly hash: string;
  readonly atMicros: string | null;
  readonly pending: number;
  readonly beyond: number;
}

/** For those who may read the log. */
export async function selectHead(kernel: Kernel): Promise<AuditHead> {
  const [row] = await kernel.query<AuditHead & Record<string, unknown>>(
    `select h.seq::float8 as seq, coalesce(encode(h.hash, 'hex'), $1::text) as hash,
       case when h.seq > 0 then (extract(epoch from h.at) * 1000000)::bigint::text end as "atMicros",
       h.pending::float8 as pending, h.beyond::float8 as beyond from tenantry.audit_head() h`,
    [genesisHash],
  );
  return row ?? { seq: 0, hash: genesisHash, atMicros: null, pending: 0, beyond: 0 };
}

/** First and last number of a span of time; undefined: nothing is in it. */
export async function selectSpan(
  kernel: Kernel,
  tenantId: string,
  from: Date | undefined,
  to: Date | undefined,
): Promise<{ fromSeq: number; toSeq: number } | undefined> {
  const [row] = await kernel.query<{ fromSeq: number | null; toSeq: number | null }>(
    `select (select a.seq from tenantry.audit_log a where a.tenant_id = $1::uuid and a.at >= $2::timestamptz and a.at < $3::timestamptz
         order by a.at, a.id limit 1)::float8 as "fromSeq",
       (select a.seq from tenantry.audit_log a where a.tenant_id = $1::uuid and a.at >= $2::timestamptz and a.at < $3::timestamptz
         order by a.at desc, a.id desc limit 1)::float8 as "toSeq"`,
    [tenantId, from?.toISOString() ?? '-infinity', to?.toISOString() ?? 'infinity'],
  );
  return row?.fromSeq == null || row.toSeq === null ? undefined : { fromSeq: row.fromSeq, toSeq: row.toSeq };
}

export async function insertCheckpoint(kernel: Kernel, checkpoint: AuditCheckpoint): Promise<void> {
  await kernel.query(
    `insert into tenantry.audit_checkpoints (tenant_id, seq, hash, at, key_id, signature, created_at)
     values ($1::uuid, $2::bigint, decode($3::text, 'hex'), to_timestamp(0) + $4::bigint * interval '1 microsecond', $5::text,
       decode($6::text, 'base64'), $7::timestamptz)`,
    [
      checkpoint.tenantId,
      checkpoint.seq,
      checkpoint.hash,
      checkpoint.atMicros,
      checkpoint.keyId,
      checkpoint.signature,
      checkpoint.createdAt,
    ],
  );
}

export const checkpointColumns = `c.tenant_id as "tenantId", c.kind, c.seq::float8 as seq, encode(c.hash, 'hex') as hash,
  (extract(epoch from c.at) * 1000000)::bigint::text as "atMicros",
  to_char(c.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "createdAt", c.key_id as "keyId",
  replace(encode(c.signature, 'base64'), e'\\n', '') as signature`;

export async function selectCheckpoints(kernel: Kernel, tenantId: string): Promise<AuditCheckpoint[]> {
  return kernel.query<AuditCheckpoint & Record<string, unknown>>(
    `select ${checkpointColumns}
     from tenantry.audit_checkpoints c where c.tenant_id = $1::uuid order by c.seq, c.id`,
    [tenantId],
  );
}

/** By permission, or by the hand of an operator. */
export async function callerMay(kernel: Kernel, permission: string): Promise<boolean> {
  const [row] = await kernel.query<{ may: boolean }>('select tenantry.caller_may($1::text) as may', [permission]);
  return row?.may === true;
}
