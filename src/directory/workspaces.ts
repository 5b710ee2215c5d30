import { currentTenant, withUser } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { parseInput } from './input.ts';
import { userOfContext } from './organizations.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import {
  deleteWorkspace,
  ensurePersonalWorkspace,
  insertWorkspace,
  listSwitcher,
  listWorkspaces,
  selectPersonalWorkspace,
  selectWorkspace,
  updateWorkspace,
} from './queries/workspaces.ts';
import {
  isId,
  type ListOptions,
  listSchema,
  type Workspace,
  type WorkspaceCreate,
  type WorkspaceUpdate,
  workspaceCreate,
  workspaceUpdate,
} from './schema.ts';
import { write } from './write-error.ts';

/** One organization of the workspace switcher, with what its user can choose in it. */
export interface SwitcherEntry {
  readonly organization: { id: string; name: string; slug: string; kind: 'personal' | 'standard' };
  readonly workspaces: { id: string; name: string; kind: Workspace['kind'] }[];
}

export interface Workspaces {
  /** A team's or the organization's. @throws TNT_INPUT_INVALID, TNT_NOT_FOUND, TNT_FORBIDDEN without workspaces.write */
  create(input: WorkspaceCreate): Promise<Workspace>;
  /** One's own in the current tenant, made on first use: one per user and organization. */
  personal(): Promise<Workspace>;
  get(id: string): Promise<Workspace | null>;
  /** What the caller may choose in the current tenant. */
  list(options?: ListOptions): Promise<Page<Workspace>>;
  /** Every organization of the user with its workspaces, personal ones first: for a switcher. */
  switcher(): Promise<SwitcherEntry[]>;
  /** @throws TNT_FORBIDDEN */
  update(id: string, input: WorkspaceUpdate): Promise<Workspace | null>;
  /** @throws TNT_FORBIDDEN, TNT_CONFLICT while it holds resources */
  delete(id: string): Promise<Workspace | null>;
}

export function createWorkspaces(kernel: Kernel): Workspaces {
  const tenant = (): string => currentTenant().tenantId;
  return {
    async create(input) {
      const values = parseInput(workspaceCreate, input);
      return write('workspace', 'create', async () =>
        inserted(await insertWorkspace(kernel, tenant(), values), 'workspace'),
      );
    },
    async personal() {
      const userId = userOfContext();
      const known = await selectPersonalWorkspace(kernel, tenant(), userId);
      if (known !== null) return known;
      await write('workspace', 'create', () => ensurePersonalWorkspace(kernel, tenant(), userId));
      return inserted(await selectPersonalWorkspace(kernel, tenant(), userId), 'workspace');
    },
    async get(id) {
      return isId(id) ? selectWorkspace(kernel, tenant(), id) : null;
    },
    async list(options = {}) {
      const { limit, cursor } = parseInput(listSchema, options);
      const after = cursor === undefined ? undefined : decodeCursor('workspaces', cursor).id;
      const rows = await listWorkspaces(kernel, tenant(), after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('workspaces', '', last.id));
    },
    async switcher() {
      const rows = await withUser({ userId: userOfContext() }, () => listSwitcher(kernel));
      const entries = new Map<string, SwitcherEntry>();
      for (const row of rows) {
        const { organizationId: id, organizationName: name, organizationSlug: slug, organizationKind: kind } = row;
        const entry = entries.get(id) ?? { organization: { id, name, slug, kind }, workspaces: [] };
        if (row.workspaceId !== null && row.workspaceName !== null && row.workspaceKind !== null) {
          entry.workspaces.push({ id: row.workspaceId, name: row.workspaceName, kind: row.workspaceKind });
        }
        entries.set(id, entry);
      }
      return [...entries.values()];
    },
    async update(id, input) {
      const values = parseInput(workspaceUpdate, input);
      if (!isId(id)) return null;
      return write('workspace', 'update', async () =>
        orForbidden(
          await updateWorkspace(kernel, tenant(), id, values),
          () => selectWorkspace(kernel, tenant(), id),
          'workspace',
          'update',
        ),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('workspace', 'delete', async () =>
        orForbidden(
          await deleteWorkspace(kernel, tenant(), id),
          () => selectWorkspace(kernel, tenant(), id),
          'workspace',
          'delete',
        ),
      );
    },
  };
}
