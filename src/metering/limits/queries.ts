import type { Kernel } from '../../database/kernel.ts';
import type { LimitState, OwnLimit } from './schema.ts';

export interface TakeArguments {
  readonly mode: 'look' | 'reserve' | 'consume';
  readonly metric: string;
  readonly quantity: number | string;
  readonly namespaceId: string | undefined;
  readonly apiKeyId: string | undefined;
  readonly endUserId: string | undefined;
  readonly ttlMs?: number | undefined;
  readonly eventId?: string | undefined;
}

type ScopeRow = Omit<LimitState, 'remaining' | 'periodStart' | 'periodEnd'> & {
  periodStart: string;
  periodEnd: string;
};

export interface TakeRow extends Record<string, unknown> {
  readonly allowed: boolean | null;
  readonly reservationId: string | null;
  readonly reservedAt: Date;
  readonly expiresAt: Date;
  readonly overage: number;
  /** A letter of count_usage, or what is wrong with the request. */
  readonly answer: string | null;
  readonly scopes: ScopeRow[];
}

export async function takeLimit(kernel: Kernel, input: TakeArguments): Promise<TakeRow | undefined> {
  const [row] = await kernel.query<TakeRow>(
    `select l.allowed, l.reservation_id as "reservationId", l.reserved_at as "reservedAt",
       l.reserved_at + $7::float8 * interval '1 millisecond' as "expiresAt", l.overage::float8 as overage, l.answer, l.scopes
     from tenantry.limit_take($1::text, $2::text, $3::numeric, $4::uuid, $5::uuid, $6::uuid,
       $7::float8 * interval '1 millisecond', $8::text) l`,
    [
      input.mode,
      input.metric,
      input.quantity,
      input.namespaceId ?? null,
      input.apiKeyId ?? null,
      input.endUserId ?? null,
      input.ttlMs ?? 0,
      input.eventId ?? null,
    ],
  );
  return row;
}

export interface ReservationRow extends Record<string, unknown> {
  readonly id: string;
  readonly metric: string;
  readonly quantity: string;
  readonly namespaceId: string | null;
  readonly apiKeyId: string | null;
  readonly endUserId: string | null;
  readonly reservedAt: Date;
  readonly expiresAt: Date;
}

export async function selectReservation(
  kernel: Kernel,
  tenantId: string,
  id: string,
): Promise<ReservationRow | undefined> {
  const [row] = await kernel.query<ReservationRow>(
    `select r.id, r.metric, r.quantity::text as quantity, r.namespace_id as "namespaceId", r.api_key_id as "apiKeyId",
       r.end_user_id as "endUserId", r.reserved_at as "reservedAt", r.expires_at as "expiresAt"
     from tenantry.limit_reservations r where r.tenant_id = $1::uuid and r.id = $2::uuid`,
    [tenantId, id],
  );
  return row;
}

/** False when it was ended before. */
export async function commitReservation(kernel: Kernel, id: string, quantity: number | string): Promise<boolean> {
  const [row] = await kernel.query<{ done: boolean }>('select tenantry.limit_commit($1::uuid, $2::numeric) as done', [
    id,
    quantity,
  ]);
  return row?.done === true;
}

export async function releaseReservation(kernel: Kernel, id: string): Promise<boolean> {
  const [row] = await kernel.query<{ done: boolean }>('select tenantry.limit_release($1::uuid) as done', [id]);
  return row?.done === true;
}

/** Until when it holds now; undefined when it had ended. */
export async function extendReservation(kernel: Kernel, id: string, ttlMs: number): Promise<Date | undefined> {
  const [row] = await kernel.query<{ until: Date | null }>(
    `select tenantry.limit_extend($1::uuid, $2::float8 * interval '1 millisecond') as until`,
    [id, ttlMs],
  );
  return row?.until ?? undefined;
}

const ownColumns = `l.metric, l.period, l.quantity::float8 as limit, l.hard, nullif(l.principal_id, l.tenant_id) as "endUserId"`;

/** Nothing when the end user is not the organization's. */
export async function upsertLimit(
  kernel: Kernel,
  tenantId: string,
  input: { metric: string; period: string; limit: number | null; hard: boolean; endUserId: string | undefined },
): Promise<OwnLimit | undefined> {
  const [row] = await kernel.query<OwnLimit & Record<string, unknown>>(
    `insert into tenantry.limits as l (tenant_id, principal_id, metric, period, quantity, hard)
     select p.tenant_id, p.id, $3::text, $4::text, $5::numeric, $6::boolean from tenantry.principals p
     where p.tenant_id = $1::uuid and p.id = coalesce($2::uuid, $1::uuid) and p.kind in ('organization', 'end_user')
     on conflict (tenant_id, principal_id, metric, period) do update set quantity = excluded.quantity, hard = excluded.hard
     returning ${ownColumns}`,
    [tenantId, input.endUserId ?? null, input.metric, input.period, input.limit, input.hard],
  );
  return row;
}

export async function deleteLimit(
  kernel: Kernel,
  tenantId: string,
  input: { metric: string; period: string; endUserId: string | undefined },
): Promise<OwnLimit | undefined> {
  const [row] = await kernel.query<OwnLimit & Record<string, unknown>>(
    `delete from tenantry.limits l
     where l.tenant_id = $1::uuid and l.principal_id = coalesce($2::uuid, $1::uuid) and l.metric = $3::text and l.period = $4::text
     returning ${ownColumns}`,
    [tenantId, input.endUserId ?? null, input.metric, input.period],
  );
  return row;
}

export async function listLimits(kernel: Kernel, tenantId: string, endUserId: string | undefined): Promise<OwnLimit[]> {
  return kernel.query<OwnLimit & Record<string, unknown>>(
    `select ${ownColumns} from tenantry.limits l
     where l.tenant_id = $1::uuid and l.principal_id = coalesce($2::uuid, $1::uuid) order by l.metric, l.period`,
    [tenantId, endUserId ?? null],
  );
}
