import type { Audit } from '../audit/index.ts';
import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted, orForbidden } from '../directory/forbidden.ts';
import { isText, parseInput } from '../directory/input.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from '../directory/page.ts';
import { callerCan } from '../directory/queries/access.ts';
import { isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import { TenantryError } from '../errors.ts';
import type { DataKeys } from './data-keys.ts';
import {
  deleteSecret,
  insertSecretVersion,
  listSecrets,
  listSecretVersions,
  selectSecret,
  selectSecretValue,
  upsertSecret,
} from './queries.ts';
import { type SecretInfo, type SecretPut, secretList, secretPut } from './schema.ts';
import type { Binding } from './sealed-value.ts';

export interface SecretVersion {
  readonly version: number;
  readonly createdBy: string | null;
  readonly createdAt: Date;
}

export interface Secrets {
  /**
   * Stores a value under a name: a new secret, or a new version of one. Takes secrets.write.
   *
   * @throws TNT_INPUT_INVALID, TNT_FORBIDDEN
   * @example
   * ```ts
   * await t.vault.secrets.put({ name: 'smtp', value: password });
   * const password = await t.vault.secrets.reveal('smtp');
   * ```
   */
  put(input: SecretPut): Promise<SecretInfo>;
  /**
   * The value in the clear; null when there is none. Takes secrets.read and leaves an audit entry, which is stored
   * before the value is returned.
   *
   * @param key the secret's name or id
   * @throws TNT_FORBIDDEN, TNT_SECRET_DAMAGED, TNT_VAULT_KEY_MISSING, TNT_VAULT_KEY_WRONG
   */
  reveal(key: string, options?: { readonly version?: number }): Promise<string | null>;
  /** Name, version and times, without the value. */
  get(key: string): Promise<SecretInfo | null>;
  /** By name. */
  list(options?: { readonly limit?: number; readonly cursor?: string }): Promise<Page<SecretInfo>>;
  /** The versions that are kept, newest first. Takes secrets.read. */
  versions(key: string): Promise<SecretVersion[]>;
  /** With all its versions. @throws TNT_FORBIDDEN */
  delete(key: string): Promise<SecretInfo | null>;
}

/** What a part of Tenantry keeps secrets with: webhooks keep their signing secrets so. */
export interface SecretStore {
  put(name: string, value: string): Promise<string>;
  reveal(id: string): Promise<string>;
  delete(id: string): Promise<void>;
}

export const secretBinding = (id: string, version: number): Binding => ({
  table: 'tenantry.secret_versions',
  column: 'value',
  row: `${id}/${version}`,
});

export function createSecrets(
  kernel: Kernel,
  keys: DataKeys,
  audit: Pick<Audit, 'record'>,
  service = 'application',
): Secrets {
  const tenant = (): string => currentTenant().tenantId;
  const people = service === 'application';
  const find = async (on: Kernel, key: string): Promise<SecretInfo | null> => {
    if (!isText(key)) return null;
    const byName = await selectSecret(on, tenant(), service, { name: key });
    return byName ?? (isId(key) ? selectSecret(on, tenant(), service, { id: key }) : null);
  };
  const record = (on: Kernel, action: string, { id, name, version }: SecretInfo): Promise<void> =>
    audit.record({ action: `secret.${action}`, resourceId: id, details: { name, version, service } }, on);
  /** Nothing found: because there is nothing, or because this caller may see nothing. */
  async function orMayRead<T>(found: T | null): Promise<T | null> {
    if (found === null && people && !(await callerCan(kernel, 'secrets.read'))) {
      throw new TenantryError('TNT_FORBIDDEN', 'This context lacks the permission secrets.read.', {
        details: { permission: 'secrets.read' },
      });
    }
    return found;
  }

  return {
    async put(input) {
      const { name, value, description = null, keepVersions = null } = parseInput(secretPut, input);
      const tenantId = tenant();
      return write('secret', 'create', () =>
        keys.sealing(tenantId, (sealer) =>
          kernel.transaction(async (tx) => {
            const stored = await upsertSecret(tx, tenantId, { service, name, description, keepVersions });
            const secret = inserted(stored, 'secret');
            const { id, version } = secret;
            await insertSecretVersion(tx, tenantId, id, version, sealer.seal(value, secretBinding(id, version)));
            await record(tx, version === 1 ? 'created' : 'changed', secret);
            return secret;
          }),
        ),
      );
    },
    async reveal(key, { version } = {}) {
      const tenantId = tenant();
      const found = await kernel.transaction(async (tx) => {
        const secret = await find(tx, key);
        if (secret === null) return null;
        const wanted = version ?? secret.version;
        const value = Number.isSafeInteger(wanted) ? await selectSecretValue(tx, tenantId, secret.id, wanted) : null;
        if (value === null) return null;
        if (people) await record(tx, 'revealed', { ...secret, version: wanted });
        return { value, binding: secretBinding(secret.id, wanted) };
      });
      const row = await orMayRead(found);
      return row === null ? null : (await keys.open(tenantId, row.value, row.binding)).toString('utf8');
    },
    get: (key) => find(kernel, key),
    async list(options = {}) {
      const { limit, cursor } = parseInput(secretList, options);
      const after = cursor === undefined ? undefined : decodeCursor('secrets', cursor).value;
      const rows = await listSecrets(kernel, tenant(), service, after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('secrets', last.name, last.id));
    },
    async versions(key) {
      const secret = await orMayRead(await find(kernel, key));
      return secret === null ? [] : listSecretVersions(kernel, tenant(), secret.id);
    },
    async delete(key) {
      return write('secret', 'delete', () =>
        kernel.transaction(async (tx) => {
          const secret = await find(tx, key);
          if (secret === null) return null;
          const deleted = await orForbidden(
            await deleteSecret(tx, tenant(), secret.id),
            async () => secret,
            'secret',
            'delete',
          );
          if (deleted !== null) await record(tx, 'deleted', deleted);
          return deleted;
        }),
      );
    },
  };
}

/** Secrets of one part of Tenantry, apart from those of people; see tenantry.caller_secrets(). */
export function secretStore(secrets: Secrets): SecretStore {
  return {
    put: async (name, value) => (await secrets.put({ name, value, keepVersions: 1 })).id,
    async reveal(id) {
      const value = await secrets.reveal(id);
      if (value === null)
        throw new TenantryError('TNT_NOT_FOUND', `There is no secret ${id} that this context may read.`);
      return value;
    },
    async delete(id) {
      await secrets.delete(id);
    },
  };
}
