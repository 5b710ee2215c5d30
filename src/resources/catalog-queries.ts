import type { z } from 'zod';
import type { Kernel } from '../database/kernel.ts';
import type { CatalogEntry, catalogSet } from './schema.ts';
import { first } from '../directory/queries/rows.ts';

/** `$1` tenant, `$2` type; `$3` key when one is asked for. */
const overlay = (key: string): string => `
  select distinct on (e.key) e.type, e.key, e.data, e.level, e."principalId", e."updatedAt", e.hidden
  from (
    select g.type, g.key, g.data, 'global' as level, 0 as rank, null::uuid as "principalId", g.updated_at as "updatedAt", false as hidden
    from tenantry.catalog_global_items g where g.type = $2::text${key.replaceAll('@', 'g')}
    union all
    select c.type, c.key, c.data, c.level, case c.level when 'organization' then 1 when 'team' then 2 else 3 end,
      c.principal_id, c.updated_at, c.hidden
    from tenantry.catalog_items c
    where c.tenant_id = $1::uuid and c.principal_id = any ((select tenantry.caller_principals())::uuid[]) and c.type = $2::text${key.replaceAll('@', 'c')}
  ) e
  order by e.key, e.rank desc, e."updatedAt" desc, e."principalId"`;

const entry = 'n.type, n.key, n.data, n.level, n."principalId", n."updatedAt"';

export async function selectCatalogEntry(
  kernel: Kernel,
  tenantId: string,
  type: string,
  key: string,
): Promise<CatalogEntry | null> {
  return first(
    await kernel.query<CatalogEntry>(
      `select ${entry} from (${overlay(' and @.key = $3::text')}) n where not n.hidden`,
      [tenantId, type, key],
    ),
  );
}

export async function selectCatalog(kernel: Kernel, tenantId: string, type: string): Promise<CatalogEntry[]> {
  return kernel.query<CatalogEntry>(`select ${entry} from (${overlay('')}) n where not n.hidden order by n.key`, [
    tenantId,
    type,
  ]);
}

export async function upsertCatalogItem(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof catalogSet>,
): Promise<CatalogEntry | undefined> {
  const [row] = await kernel.query<CatalogEntry>(
    `insert into tenantry.catalog_items as n (tenant_id, principal_id, type, key, data, hidden)
     values ($1::uuid, $2::uuid, $3::text, $4::text, $5::jsonb, $6::boolean)
     on conflict (tenant_id, principal_id, type, key) do update set data = excluded.data, hidden = excluded.hidden
     returning n.type, n.key, n.data, n.level, n.principal_id as "principalId", n.updated_at as "updatedAt"`,
    [tenantId, input.principalId, input.type, input.key, JSON.stringify(input.data), input.hidden],
  );
  return row;
}

export async function deleteCatalogItem(
  kernel: Kernel,
  tenantId: string,
  type: string,
  key: string,
  principalId: string,
): Promise<boolean> {
  const rows = await kernel.query(
    `delete from tenantry.catalog_items c
     where c.tenant_id = $1::uuid and c.principal_id = $2::uuid and c.type = $3::text and c.key = $4::text returning c.id`,
    [tenantId, principalId, type, key],
  );
  return rows.length > 0;
}
