import { currentTenant } from '../context/context.ts';
import { sqlStateOf } from '../database/database-error.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { orForbidden } from './forbidden.ts';
import { parseInput } from './input.ts';
import {
  type EndUser,
  type EndUserEnsure,
  type EndUserListOptions,
  type EndUserLookup,
  type EndUserUpdate,
  endUserEnsure,
  endUserList,
  endUserLookup,
  endUserUpdate,
} from './namespace-schema.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import {
  deleteEndUser,
  insertEndUser,
  listEndUsers,
  selectEndUser,
  selectEndUserByExternalId,
  updateEndUser,
} from './queries/end-users.ts';
import { namespaceUsable, selectNamespace, selectNamespaceSettings } from './queries/namespaces.ts';
import { isId } from './schema.ts';
import { write, writeError } from './write-error.ts';

export interface EndUsers {
  /**
   * The end user with this id of yours, made on first use: a hundred at once make one. `name` and `metadata` are for the
   * first time; change them later with `update`. Without a namespace: the context's, else the organization's default.
   *
   * @throws TNT_INPUT_INVALID, TNT_NOT_FOUND (no such namespace, or no default one), TNT_NAMESPACE_INACTIVE, TNT_FORBIDDEN for a key without write
   * @example
   * ```ts
   * const endUser = await t.endUsers.ensure({ externalId: 'customer-4711' });
   * ```
   */
  ensure(input: EndUserEnsure): Promise<EndUser>;
  get(id: string): Promise<EndUser | null>;
  /** Makes none. */
  getByExternalId(lookup: EndUserLookup): Promise<EndUser | null>;
  list(options?: EndUserListOptions): Promise<Page<EndUser>>;
  /** `metadata` replaces the old. @throws TNT_FORBIDDEN for a key without write */
  update(id: string, input: EndUserUpdate): Promise<EndUser | null>;
  /** What they own waits for another owner. @throws TNT_FORBIDDEN without end_users.write */
  delete(id: string): Promise<EndUser | null>;
}

export function createEndUsers(kernel: Kernel): EndUsers {
  const tenant = (): string => currentTenant().tenantId;
  return {
    async ensure(input) {
      const { externalId, namespaceId, name = null, metadata = {} } = parseInput(endUserEnsure, input);
      const tenantId = tenant();
      const look = (): Promise<EndUser | null> => selectEndUserByExternalId(kernel, tenantId, namespaceId, externalId);
      const known = await look();
      if (known !== null) return known;
      try {
        const made = await insertEndUser(kernel, tenantId, { namespaceId, externalId, name, metadata });
        const found = made ?? (await look());
        if (found !== null) return found;
      } catch (error) {
        throw await explained(kernel, tenantId, namespaceId, error);
      }
      throw new TenantryError('TNT_NOT_FOUND', 'The end user was deleted while it was being made.');
    },
    async get(id) {
      return isId(id) ? selectEndUser(kernel, tenant(), id) : null;
    },
    async getByExternalId(lookup) {
      const { externalId, namespaceId } = parseInput(endUserLookup, lookup);
      return selectEndUserByExternalId(kernel, tenant(), namespaceId, externalId);
    },
    async list(options = {}) {
      const { limit, cursor, namespaceId } = parseInput(endUserList, options);
      const after = cursor === undefined ? undefined : decodeCursor('end users', cursor).id;
      const rows = await listEndUsers(kernel, tenant(), namespaceId, after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('end users', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(endUserUpdate, input);
      if (!isId(id)) return null;
      return write('end user', 'update', async () =>
        orForbidden(
          await updateEndUser(kernel, tenant(), id, values),
          () => selectEndUser(kernel, tenant(), id),
          'end user',
          'update',
        ),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('end user', 'delete', async () =>
        orForbidden(
          await deleteEndUser(kernel, tenant(), id),
          () => selectEndUser(kernel, tenant(), id),
          'end user',
          'delete',
        ),
      );
    },
  };
}

const noDefault = (): TenantryError =>
  new TenantryError('TNT_NOT_FOUND', 'namespaceId is missing: the organization has no default namespace.', {
    hint: 'Make a namespace with: tenantry namespaces create — the first one becomes the default.',
  });

/** Why an end user could not be made: its namespace is missing, unknown, or takes nothing new. */
async function explained(
  kernel: Kernel,
  tenantId: string,
  namespaceId: string | undefined,
  error: unknown,
): Promise<unknown> {
  const state = sqlStateOf(error);
  if (state === '23502') return noDefault();
  if (state !== '42501') return error;
  const id =
    namespaceId ?? currentTenant().namespaceId ?? (await selectNamespaceSettings(kernel, tenantId))?.defaultNamespaceId;
  if (typeof id !== 'string') return noDefault();
  const namespace = await selectNamespace(kernel, tenantId, id);
  if (namespace === null)
    return new TenantryError('TNT_NOT_FOUND', 'There is no such namespace in this organization.', { cause: error });
  if (await namespaceUsable(kernel, tenantId, id)) return writeError(error, 'end user', 'create');
  return new TenantryError('TNT_NAMESPACE_INACTIVE', `The namespace ${namespace.name} takes nothing new.`, {
    details: { namespaceId: namespace.id },
    cause: error,
  });
}
