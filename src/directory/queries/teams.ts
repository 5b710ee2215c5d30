import type { z } from 'zod';
import type { Kernel } from '../../database/kernel.ts';
import type { Team, teamCreate, teamUpdate } from '../schema.ts';
import { teamColumns } from './columns.ts';
import { assignments } from './update.ts';
import { first } from './rows.ts';

export async function insertTeam(
  kernel: Kernel,
  tenantId: string,
  input: z.output<typeof teamCreate>,
): Promise<Team | undefined> {
  const [row] = await kernel.query<Team>(
    `insert into tenantry.teams as t (tenant_id, name, slug, description)
     values ($1::uuid, $2::text, $3::text, $4::text) returning ${teamColumns}`,
    [tenantId, input.name, input.slug, input.description ?? null],
  );
  return row;
}

export async function selectTeam(kernel: Kernel, tenantId: string, id: string): Promise<Team | null> {
  return first(
    await kernel.query<Team>(
      `select ${teamColumns} from tenantry.teams t where t.tenant_id = $1::uuid and t.id = $2::uuid`,
      [tenantId, id],
    ),
  );
}

export async function selectTeamBySlug(kernel: Kernel, tenantId: string, slug: string): Promise<Team | null> {
  return first(
    await kernel.query<Team>(
      `select ${teamColumns} from tenantry.teams t where t.tenant_id = $1::uuid and t.slug = $2::text`,
      [tenantId, slug],
    ),
  );
}

export async function listTeams(
  kernel: Kernel,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<Team[]> {
  return kernel.query<Team>(
    `select ${teamColumns} from tenantry.teams t
     where t.tenant_id = $1::uuid and ($2::uuid is null or t.id > $2::uuid) order by t.id limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

export async function updateTeam(
  kernel: Kernel,
  tenantId: string,
  id: string,
  input: z.output<typeof teamUpdate>,
): Promise<Team | null> {
  const set = assignments(
    input,
    { name: ['name', 'text'], slug: ['slug', 'text'], description: ['description', 'text'] },
    3,
  );
  if (set === undefined) return selectTeam(kernel, tenantId, id);
  return first(
    await kernel.query<Team>(
      `update tenantry.teams t set ${set.text} where t.tenant_id = $1::uuid and t.id = $2::uuid returning ${teamColumns}`,
      [tenantId, id, ...set.values],
    ),
  );
}

export async function deleteTeam(kernel: Kernel, tenantId: string, id: string): Promise<Team | null> {
  return first(
    await kernel.query<Team>(
      `delete from tenantry.teams t where t.tenant_id = $1::uuid and t.id = $2::uuid returning ${teamColumns}`,
      [tenantId, id],
    ),
  );
}

export async function insertTeamMember(
  kernel: Kernel,
  tenantId: string,
  teamId: string,
  userId: string,
): Promise<void> {
  await kernel.query(
    `insert into tenantry.team_members (tenant_id, team_id, user_id) values ($1::uuid, $2::uuid, $3::uuid) on conflict do nothing`,
    [tenantId, teamId, userId],
  );
}

export async function deleteTeamMember(
  kernel: Kernel,
  tenantId: string,
  teamId: string,
  userId: string,
): Promise<boolean> {
  const rows = await kernel.query(
    `delete from tenantry.team_members tm
     where tm.tenant_id = $1::uuid and tm.team_id = $2::uuid and tm.user_id = $3::uuid returning tm.user_id`,
    [tenantId, teamId, userId],
  );
  return rows.length > 0;
}

export async function listTeamMembers(kernel: Kernel, tenantId: string, teamId: string): Promise<string[]> {
  const rows = await kernel.query<{ id: string }>(
    `select tm.user_id as id from tenantry.team_members tm
     where tm.tenant_id = $1::uuid and tm.team_id = $2::uuid order by tm.user_id`,
    [tenantId, teamId],
  );
  return rows.map((row) => row.id);
}
