import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { parseInput } from './input.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import {
  deleteTeam,
  deleteTeamMember,
  insertTeam,
  insertTeamMember,
  listTeamMembers,
  listTeams,
  selectTeam,
  selectTeamBySlug,
  updateTeam,
} from './queries/teams.ts';
import {
  idSchema,
  isId,
  isSlug,
  type ListOptions,
  listSchema,
  type Team,
  type TeamCreate,
  type TeamUpdate,
  teamCreate,
  teamUpdate,
} from './schema.ts';
import { write } from './write-error.ts';

export interface Teams {
  /** @throws TNT_INPUT_INVALID, TNT_SLUG_TAKEN, TNT_FORBIDDEN without teams.write (for every change below too) */
  create(input: TeamCreate): Promise<Team>;
  get(id: string): Promise<Team | null>;
  getBySlug(slug: string): Promise<Team | null>;
  list(options?: ListOptions): Promise<Page<Team>>;
  update(id: string, input: TeamUpdate): Promise<Team | null>;
  /** Its workspaces go along when they are empty. @throws TNT_CONFLICT while one holds resources */
  delete(id: string): Promise<Team | null>;
  /** Adding twice changes nothing. @throws TNT_NOT_FOUND when the user is not a member of the organization */
  addMember(teamId: string, userId: string): Promise<void>;
  /** False when there was nothing to remove. Everybody may leave. */
  removeMember(teamId: string, userId: string): Promise<boolean>;
  /** The ids of its users. */
  listMembers(teamId: string): Promise<string[]>;
}

export function createTeams(kernel: Kernel): Teams {
  const tenant = (): string => currentTenant().tenantId;
  return {
    async create(input) {
      const values = parseInput(teamCreate, input);
      return write('team', 'create', async () => inserted(await insertTeam(kernel, tenant(), values), 'team'));
    },
    async get(id) {
      return isId(id) ? selectTeam(kernel, tenant(), id) : null;
    },
    async getBySlug(slug) {
      return isSlug(slug) ? selectTeamBySlug(kernel, tenant(), slug) : null;
    },
    async list(options = {}) {
      const { limit, cursor } = parseInput(listSchema, options);
      const after = cursor === undefined ? undefined : decodeCursor('teams', cursor).id;
      const rows = await listTeams(kernel, tenant(), after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('teams', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(teamUpdate, input);
      if (!isId(id)) return null;
      return write('team', 'update', async () =>
        orForbidden(
          await updateTeam(kernel, tenant(), id, values),
          () => selectTeam(kernel, tenant(), id),
          'team',
          'update',
        ),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('team', 'delete', async () =>
        orForbidden(await deleteTeam(kernel, tenant(), id), () => selectTeam(kernel, tenant(), id), 'team', 'delete'),
      );
    },
    async addMember(teamId, userId) {
      const ids = { teamId: parseInput(idSchema, teamId), userId: parseInput(idSchema, userId) };
      await write('team member', 'create', () => insertTeamMember(kernel, tenant(), ids.teamId, ids.userId));
    },
    async removeMember(teamId, userId) {
      if (!isId(teamId) || !isId(userId)) return false;
      return deleteTeamMember(kernel, tenant(), teamId, userId);
    },
    async listMembers(teamId) {
      return isId(teamId) ? listTeamMembers(kernel, tenant(), teamId) : [];
    },
  };
}
