import { sqlStateOf } from '../../database/database-error.ts';
import type { Kernel } from '../../database/kernel.ts';
import { ident } from '../../database/sql.ts';
import type { StoredEntry } from '../chain.ts';
import type { AuditCheckpoint } from '../checkpoint.ts';
import { checkpointColumns, storedColumns } from './entries.ts';

/** Waits half a second at most for each lock, so that writers do not queue behind it, and tries a few times. */
export async function maintainPartitions(kernel: Kernel): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    try {
      const [row] = await kernel.query<{ made: number }>('select tenantry.audit_maintain() as made');
      return row?.made ?? 0;
    } catch (error) {
      if (tries === 10 || !['55P03', '40P01'].includes(sqlStateOf(error) ?? '')) throw error;
      await new Promise((done) => setTimeout(done, 100 * tries * Math.random()));
    }
  }
}

/** Partitions of whole months that lie more than `months` before the current one, oldest first. */
export async function oldPartitions(kernel: Kernel, months: number): Promise<{ name: string; month: string }[]> {
  return kernel.query<{ name: string; month: string }>(
    `select c.relname as name, replace(right(c.relname, 7), '_', '-') as month
     from pg_catalog.pg_inherits i join pg_catalog.pg_class c on c.oid = i.inhrelid
     where i.inhparent = 'tenantry.audit_log'::regclass and c.relname ~ '^audit_log_[0-9]{4}_[0-9]{2}$'
       and to_date(right(c.relname, 7), 'YYYY_MM') < (date_trunc('month', now() at time zone 'UTC') - make_interval(months => $1::int))::date
     order by 1`,
    [months],
  );
}

/** A partition's entries, organization by organization and by number, in pages. */
export async function* readPartition(kernel: Kernel, name: string, pageSize = 1_000): AsyncGenerator<StoredEntry[]> {
  let after: StoredEntry | undefined;
  for (;;) {
    const rows: StoredEntry[] = await kernel.query<StoredEntry & Record<string, unknown>>(
      `select ${storedColumns} from tenantry.${ident(name)} a
       where $1::uuid is null or (a.tenant_id, a.seq) > ($1::uuid, $2::bigint)
       order by a.tenant_id, a.seq limit $3::int`,
      [after?.tenantId ?? null, after?.seq ?? null, pageSize],
    );
    yield rows;
    after = rows.at(-1);
    if (rows.length < pageSize) return;
  }
}

/** The last retention checkpoint of each organization. */
export async function selectRetention(kernel: Kernel, tenantIds: readonly string[]): Promise<AuditCheckpoint[]> {
  return kernel.query<AuditCheckpoint & Record<string, unknown>>(
    `select distinct on (c.tenant_id) ${checkpointColumns}
     from tenantry.audit_checkpoints c where c.tenant_id = any ($1::uuid[]) and c.kind = 'retention'
     order by c.tenant_id, c.seq desc, c.id desc`,
    [tenantIds],
  );
}

export async function insertRetentionCheckpoints(
  kernel: Kernel,
  checkpoints: readonly AuditCheckpoint[],
): Promise<void> {
  if (checkpoints.length === 0) return;
  await kernel.query(
    `insert into tenantry.audit_checkpoints (tenant_id, kind, seq, hash, at, key_id, signature, created_at)
     select c."tenantId", c.kind, c.seq, decode(c.hash, 'hex'), to_timestamp(0) + c."atMicros"::bigint * interval '1 microsecond',
       c."keyId", decode(c.signature, 'base64'), c."createdAt"
     from jsonb_to_recordset($1::jsonb) c ("tenantId" uuid, kind text, seq bigint, hash text, "atMicros" text, "keyId" text,
       signature text, "createdAt" timestamptz)`,
    [JSON.stringify(checkpoints)],
  );
}

/** The head of a chain whose every entry goes stays: numbers go on. */
export async function dropPartition(kernel: Kernel, name: string): Promise<void> {
  await kernel.query("select set_config('lock_timeout', '5s', true)");
  await kernel.query(`alter table tenantry.audit_log detach partition tenantry.${ident(name)}`);
  await kernel.query(`drop table tenantry.${ident(name)}`);
}
