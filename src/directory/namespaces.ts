import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { isText, parseInput } from './input.ts';
import {
  type Acl,
  type AclInput,
  aclSchema,
  listNamespacesSchema,
  type Namespace,
  type NamespaceCreate,
  type NamespaceListOptions,
  type NamespaceSettings,
  type NamespaceSettingsUpdate,
  type NamespaceUpdate,
  namespaceCreate,
  namespaceSettingsUpdate,
  namespaceUpdate,
} from './namespace-schema.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import {
  deleteNamespace,
  insertNamespace,
  listNamespaces,
  replaceAcl,
  selectAcl,
  selectNamespace,
  selectNamespaceByName,
  selectNamespaceSettings,
  updateAllowedNamespaces,
  updateDefaultNamespace,
  updateListedNamespaces,
  updateNamespace,
  updateRestricted,
} from './queries/namespaces.ts';
import { isId } from './schema.ts';
import { write } from './write-error.ts';

export interface Namespaces {
  /**
   * An environment of the current tenant, with limits of its own. The first one becomes the default.
   *
   * @throws TNT_INPUT_INVALID, TNT_CONFLICT when the name is taken, TNT_FORBIDDEN without namespaces.write
   * @example
   * ```ts
   * await t.namespaces.create({
   *   name: 'acme-production',
   *   environment: 'production',
   *   limits: { memories_per_month: 10_000, api_calls_per_day: null },
   * });
   * ```
   */
  create(input: NamespaceCreate): Promise<Namespace>;
  get(id: string): Promise<Namespace | null>;
  getByName(name: string): Promise<Namespace | null>;
  list(options?: NamespaceListOptions): Promise<Page<Namespace>>;
  /** `limits` replaces them all; an inactive namespace takes nothing new. @throws TNT_CONFLICT, TNT_FORBIDDEN */
  update(id: string, input: NamespaceUpdate): Promise<Namespace | null>;
  /** @throws TNT_CONFLICT while it is the default or holds end users or keys (switch it off instead), TNT_FORBIDDEN */
  delete(id: string): Promise<Namespace | null>;
  /** The default namespace, and which may be used. @throws TNT_TENANT_UNKNOWN */
  settings(): Promise<NamespaceSettings>;
  /** @throws TNT_NOT_FOUND for a namespace of another organization, TNT_FORBIDDEN */
  updateSettings(input: NamespaceSettingsUpdate): Promise<NamespaceSettings>;
  /** Who may read and write: the namespace, or without an id the organization itself. */
  acl(namespaceId?: string): Promise<Acl | null>;
  /**
   * Replaces who may read and write. A namespace with an ACL is seen by those alone whom it names and by holders of
   * namespaces.write; null opens it to the whole organization again. Without a namespace: who may change the
   * organization's own row besides its administrators.
   *
   * @throws TNT_NOT_FOUND for a principal or namespace of another organization, TNT_FORBIDDEN
   * @example
   * ```ts
   * await t.namespaces.setAcl({ [teamId]: { read: true, write: true } }, production.id);
   * ```
   */
  setAcl(acl: AclInput | null, namespaceId?: string): Promise<void>;
}

/** Writes down who changed what, in the transaction of the change. */
export interface ChangeLog {
  record(entry: { action: string; details: Record<string, unknown> }, on: Kernel): Promise<void>;
}

const unwritten: ChangeLog = { record: async () => {} };

export function createNamespaces(kernel: Kernel, log: ChangeLog = unwritten): Namespaces {
  const tenant = (): string => currentTenant().tenantId;
  /** One change and its entry in the log: both or neither. */
  const changed = <T>(action: string, fn: (tx: Kernel) => Promise<T>, details: (result: T) => object): Promise<T> =>
    kernel.transaction(async (tx) => {
      const result = await fn(tx);
      if (result !== null) await log.record({ action: `namespaces.${action}`, details: { ...details(result) } }, tx);
      return result;
    });
  return {
    async create(input) {
      const values = parseInput(namespaceCreate, input);
      return write('namespace', 'create', () =>
        changed(
          'create',
          async (tx) => inserted(await insertNamespace(tx, tenant(), values), 'namespace'),
          ({ id }) => ({ namespaceId: id, ...values }),
        ),
      );
    },
    async get(id) {
      return isId(id) ? selectNamespace(kernel, tenant(), id) : null;
    },
    async getByName(name) {
      return isText(name) ? selectNamespaceByName(kernel, tenant(), name) : null;
    },
    async list(options = {}) {
      const { limit, cursor, ...filter } = parseInput(listNamespacesSchema, options);
      const after = cursor === undefined ? undefined : decodeCursor('namespaces', cursor).id;
      const rows = await listNamespaces(kernel, tenant(), filter, after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('namespaces', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(namespaceUpdate, input);
      if (!isId(id)) return null;
      return write('namespace', 'update', () =>
        changed(
          'update',
          async (tx) =>
            orForbidden(
              await updateNamespace(tx, tenant(), id, values),
              () => selectNamespace(tx, tenant(), id),
              'namespace',
              'update',
            ),
          () => ({ namespaceId: id, ...values }),
        ),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('namespace', 'delete', () =>
        changed(
          'delete',
          async (tx) =>
            orForbidden(
              await deleteNamespace(tx, tenant(), id),
              () => selectNamespace(tx, tenant(), id),
              'namespace',
              'delete',
            ),
          (namespace) => ({ namespaceId: id, name: namespace?.name }),
        ),
      );
    },
    settings: () => settingsOf(kernel, tenant()),
    async updateSettings(input) {
      const { defaultNamespaceId, allowedNamespaceIds } = parseInput(namespaceSettingsUpdate, input);
      const tenantId = tenant();
      return write('namespace settings', 'update', () =>
        kernel.transaction(async (tx) => {
          const done: boolean[] = [];
          if (defaultNamespaceId !== undefined) {
            done.push(await updateDefaultNamespace(tx, tenantId, defaultNamespaceId));
          }
          if (allowedNamespaceIds !== undefined) {
            const listed = allowedNamespaceIds === 'all' ? [] : [...new Set(allowedNamespaceIds)];
            done.push(await updateAllowedNamespaces(tx, tenantId, allowedNamespaceIds === 'all' ? 'all' : 'listed'));
            if ((await updateListedNamespaces(tx, tenantId, listed)) < listed.length) throw unknownNamespace();
          }
          if (done.includes(false)) throw forbidden('the organization');
          const settings = await settingsOf(tx, tenantId);
          await log.record({ action: 'namespaces.settings', details: { ...settings } }, tx);
          return settings;
        }),
      );
    },
    async acl(namespaceId) {
      if (namespaceId === undefined) return selectAcl(kernel, tenant(), null);
      const namespace = isId(namespaceId) ? await selectNamespace(kernel, tenant(), namespaceId) : null;
      return namespace?.restricted === true ? selectAcl(kernel, tenant(), namespace.id) : null;
    },
    async setAcl(acl, namespaceId) {
      const values = parseInput(aclSchema, acl ?? {});
      const tenantId = tenant();
      if (namespaceId !== undefined && !isId(namespaceId)) throw unknownNamespace();
      await write('ACL', 'update', () =>
        kernel.transaction(async (tx) => {
          if (namespaceId !== undefined && !(await updateRestricted(tx, tenantId, namespaceId, acl !== null))) {
            if ((await selectNamespace(tx, tenantId, namespaceId)) === null) throw unknownNamespace();
            throw forbidden('the namespace');
          }
          await replaceAcl(tx, tenantId, namespaceId ?? null, values);
          await log.record(
            { action: 'namespaces.acl', details: { namespaceId: namespaceId ?? null, acl: acl && values } },
            tx,
          );
        }),
      );
    },
  };
}

async function settingsOf(kernel: Kernel, tenantId: string): Promise<NamespaceSettings> {
  const settings = await selectNamespaceSettings(kernel, tenantId);
  if (settings === null) throw new TenantryError('TNT_TENANT_UNKNOWN', 'There is no such organization.');
  return settings;
}

const unknownNamespace = (): TenantryError =>
  new TenantryError('TNT_NOT_FOUND', 'There is no such namespace in this organization.', {
    hint: 'List them with: tenantry namespaces list --organization SLUG',
  });

const forbidden = (what: string): TenantryError =>
  new TenantryError('TNT_FORBIDDEN', `This context may see ${what}, but not change it.`);
