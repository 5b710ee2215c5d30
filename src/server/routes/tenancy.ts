import { Hono } from 'hono';
import { withTenant } from '../../context/index.ts';
import type { Queryable } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';

/** Says whether a user belongs to an organization. @throws TNT_NOT_A_MEMBER */
export type VerifyMembership = (claim: { userId: string; tenantId: string }) => Promise<unknown>;

export interface TenancyOptions {
  /** The tenant pool: carries the context of each query. */
  readonly pool: Queryable;
  readonly verify: VerifyMembership;
  readonly schema?: string;
}

/**
 * `GET /ping` (requirement D8): what `current_tenant()` returns for the caller. The headers `x-tenant-id` and `x-user-id`
 * are a claim; they become a context only when the user is a member.
 */
export function tenancyRoutes({ pool, verify, schema = 'tenantry' }: TenancyOptions): Hono {
  const app = new Hono();
  app.get('/ping', async (c) => {
    const tenantId = c.req.header('x-tenant-id');
    const userId = c.req.header('x-user-id');
    if (tenantId === undefined) throw missing('x-tenant-id');
    if (userId === undefined) throw missing('x-user-id');
    await verify({ userId, tenantId });
    const answer = await withTenant({ tenantId, userId }, async () => {
      const { rows } = await pool.query<{ tenant_id: string | null; user_id: string | null }>(
        `select "${schema}".current_tenant() as tenant_id, "${schema}".current_user_id() as user_id`,
      );
      return rows[0];
    });
    return c.json(answer ?? { tenant_id: null, user_id: null });
  });
  return app;
}

function missing(header: string): TenantryError {
  return new TenantryError('TNT_INPUT_INVALID', `${header}: the header is missing.`, {
    hint: 'Send the headers x-tenant-id and x-user-id.',
  });
}
