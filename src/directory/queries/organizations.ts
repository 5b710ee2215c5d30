import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Organization, organizationCreate, organizationUpdate } from '../schema.ts';
import { organizationColumns } from './columns.ts';
import { assignments } from './update.ts';
import { first } from './rows.ts';

export async function newId(kernel: Kernel): Promise<string> {
  const [row] = await kernel.query<{ id: string }>('select tenantry.uuidv7() as id');
  return String(row?.id);
}

/** Without RETURNING: its creator is a member, and so may read it, only when the statement has ended. */
export async function insertOrganization(
  kernel: Kernel,
  id: string,
  userId: string,
  input: z.output<typeof organizationCreate>,
): Promise<void> {
  await kernel.query(
    `insert into tenantry.organizations (id, name, slug, description, kind, settings, data_region, created_by)
     values ($1::uuid, $2::text, $3::text, $4::text, $5::text, $6::jsonb, $7::text, $8::uuid)`,
    [
      id,
      input.name,
      input.slug,
      input.description ?? null,
      input.kind,
      JSON.stringify(input.settings),
      input.dataRegion ?? null,
      userId,
    ],
  );
}

export async function selectOrganization(kernel: Kernel, id: string): Promise<Organization | null> {
  return first(
    await kernel.query<Organization>(
      `select ${organizationColumns} from tenantry.organizations o where o.id = $1::uuid`,
      [id],
    ),
  );
}

export async function selectOrganizationBySlug(kernel: Kernel, slug: string): Promise<Organization | null> {
  return first(
    await kernel.query<Organization>(
      `select ${organizationColumns} from tenantry.organizations o where o.slug = $1::text`,
      [slug],
    ),
  );
}

export async function listOrganizations(
  kernel: Kernel,
  after: string | undefined,
  limit: number,
): Promise<Organization[]> {
  return kernel.query<Organization>(
    `select ${organizationColumns} from tenantry.organizations o
     where ($1::uuid is null or o.id > $1::uuid) order by o.id limit $2::int`,
    [after ?? null, limit],
  );
}

export async function updateOrganization(
  kernel: Kernel,
  id: string,
  input: z.output<typeof organizationUpdate>,
): Promise<Organization | null> {
  const set = assignments(
    input,
    {
      name: ['name', 'text'],
      slug: ['slug', 'text'],
      description: ['description', 'text'],
      settings: ['settings', 'jsonb'],
      dataRegion: ['data_region', 'text'],
    },
    2,
  );
  if (set === undefined) return selectOrganization(kernel, id);
  return first(
    await kernel.query<Organization>(
      `update tenantry.organizations o set ${set.text} where o.id = $1::uuid returning ${organizationColumns}`,
      [id, ...set.values],
    ),
  );
}

export async function deleteOrganization(kernel: Kernel, id: string): Promise<Organization | null> {
  return first(
    await kernel.query<Organization>(
      `delete from tenantry.organizations o where o.id = $1::uuid returning ${organizationColumns}`,
      [id],
    ),
  );
}

const lookUps = {
  slug: 'organization_id_by_slug',
  key: 'organization_id_by_key',
  domain: 'organization_id_by_domain',
} as const;

/** The look-ups that come before any tenant: an id or nothing. */
export async function organizationIdBy(
  kernel: Kernel,
  field: keyof typeof lookUps,
  value: string,
): Promise<string | null> {
  const [row] = await kernel.query<{ id: string | null }>(`select tenantry.${lookUps[field]}($1::text) as id`, [value]);
  return row?.id ?? null;
}
