import { withTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import type { Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { Revocation } from './disconnect.ts';

/** The one way across tenants, which createTenantry hands in. */
export type AcrossTenants = <T>(reason: string, fn: (kernel: Kernel) => Promise<T>) => Promise<T>;

export interface Maintenance {
  /** Revocations that came through, and that wait on. */
  readonly revoked: number;
  readonly pending: number;
  /** Idle connections that got new tokens, and that got none. */
  readonly refreshed: number;
  readonly failed: number;
  /** Ways to a provider that were begun, never finished, and are forgotten. */
  readonly statesForgotten: number;
}

interface MaintainOptions {
  readonly keepAliveDays?: number;
  readonly limit?: number;
  readonly retry: (tenantId: string, id: string) => Promise<Revocation>;
  readonly refresh: (provider: string) => Promise<unknown>;
}

interface Due extends Row {
  readonly tenantId: string;
  readonly userId: string;
  readonly id: string;
  readonly provider: string;
}

const mostUnexpected = 5;

/** @throws what it did not expect, when everything else is done */
export async function maintain(
  across: AcrossTenants | undefined,
  { keepAliveDays = 7, limit = 500, retry, refresh }: MaintainOptions,
): Promise<Maintenance> {
  if (across === undefined)
    throw new TenantryError(
      'TNT_OPERATOR_UNAVAILABLE',
      'Maintenance of OAuth connections goes over every organization.',
    );
  const { revocations, idle, statesForgotten } = await across('maintain OAuth connections', async (kernel) => {
    return {
      revocations: await kernel.query<Due>(
        `select r.tenant_id as "tenantId", r.user_id as "userId", r.id, r.provider from tenantry.oauth_revocations r
         where r.next_attempt_at <= clock_timestamp() order by r.next_attempt_at limit $1::int`,
        [limit],
      ),
      // in no order: what cannot be refreshed, however much it is, does not stand before the rest each time
      idle: await kernel.query<Due>(
        `select o.tenant_id as "tenantId", o.user_id as "userId", o.id, o.provider from tenantry.oauth_tokens o
         where o.status = 'active' and o.expires_at < clock_timestamp()
           and coalesce(o.refreshed_at, o.connected_at) < clock_timestamp() - make_interval(days => $2::int)
           and (o.retry_at is null or o.retry_at <= clock_timestamp()) order by random() limit $1::int`,
        [limit, keepAliveDays],
      ),
      statesForgotten: (
        await kernel.query('delete from tenantry.oauth_states s where s.expires_at <= clock_timestamp() returning s.id')
      ).length,
    };
  });
  const counts = { revoked: 0, pending: 0, refreshed: 0, failed: 0 };
  const unexpected: unknown[] = [];
  // what keeps one organization from being served, as a key service of its own may, keeps nobody else; what keeps many ends it
  const goOn = (error: unknown): void => {
    if (unexpected.push(error) >= mostUnexpected) throw error;
  };
  for (const { tenantId, userId, id } of revocations) {
    await withTenant({ tenantId, userId }, () => retry(tenantId, id)).then(
      (result) => (counts[result === 'pending' ? 'pending' : 'revoked'] += 1),
      goOn,
    );
  }
  for (const { tenantId, userId, provider } of idle) {
    await withTenant({ tenantId, userId }, () => refresh(provider)).then(
      () => (counts.refreshed += 1),
      (error: unknown) => {
        if (error instanceof TenantryError) counts.failed += 1;
        else goOn(error);
      },
    );
  }
  if (unexpected.length > 0) throw unexpected[0];
  return { ...counts, statesForgotten };
}
