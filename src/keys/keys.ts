import type { z } from 'zod';
import type { Audit } from '../audit/index.ts';
import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted, orForbidden } from '../directory/forbidden.ts';
import { parseInput } from '../directory/input.ts';
import { type Acl, type AclInput, aclSchema } from '../directory/namespace-schema.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from '../directory/page.ts';
import { isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import { TenantryError } from '../errors.ts';
import { keyPrefix, newKey, publicIdOf } from './format.ts';
import { hashLookup } from './imported.ts';
import { createLeaks, type Leaks } from './leaks.ts';
import type { KeysOptions } from './options.ts';
import {
  emitKeyEvent,
  endSecrets,
  insertKey,
  insertSecret,
  listKeys,
  lockKey,
  replaceKeyAcl,
  restoreKey,
  revokeKey,
  selectKey,
  selectKeyAcl,
  updateKey,
} from './queries.ts';
import {
  type ApiKey,
  type KeyCreate,
  type KeyImport,
  type KeyListOptions,
  type KeyRevoke,
  type KeyRotate,
  type KeyUpdate,
  keyCreate,
  keyImport,
  keyList,
  keyRevoke,
  keyRotate,
  keyUpdate,
} from './schema.ts';
import { createVerifier, type KeyVerifier } from './verifier.ts';

/** A key that was just made: `key` is its whole text, shown this once. */
export interface CreatedKey {
  readonly key: string;
  readonly apiKey: ApiKey;
}

/** API keys. What manages them runs in a tenant's context and takes `keys.write`; what verifies them comes before any. */
export interface Keys extends KeyVerifier, Leaks {
  /**
   * Makes a key. Its text is returned once and stored as a hash.
   *
   * @throws TNT_INPUT_INVALID, TNT_NOT_FOUND for a namespace of another organization, TNT_FORBIDDEN without keys.write or
   * for permissions that the caller does not hold
   */
  create(input: KeyCreate): Promise<CreatedKey>;
  /**
   * Takes over a key that was made elsewhere, whole or as its bcrypt hash. A hash is replaced by ours at the key's first use.
   *
   * @throws TNT_INPUT_INVALID, TNT_CONFLICT when it is there already, TNT_FORBIDDEN
   */
  import(input: KeyImport): Promise<ApiKey>;
  /** Many at once: all of them or none; `dryRun`: none, once everything was tried. */
  importMany(inputs: readonly KeyImport[], options?: { dryRun?: boolean }): Promise<ApiKey[]>;
  get(id: string): Promise<ApiKey | null>;
  /** Newest first. @throws TNT_INPUT_INVALID, TNT_CURSOR_INVALID */
  list(options?: KeyListOptions): Promise<Page<ApiKey>>;
  /** Also switches it off and on (`enabled`). @throws TNT_INPUT_INVALID, TNT_FORBIDDEN */
  update(id: string, input: KeyUpdate): Promise<ApiKey | null>;
  /** Lets a key end, at once or at a moment to come. @throws TNT_FORBIDDEN */
  expire(id: string, at?: Date): Promise<ApiKey | null>;
  /**
   * Gives a key a new text; the old one goes on for as long as is chosen. It stays the same key: its grants, limits and
   * usage go on.
   *
   * @throws TNT_CONFLICT when it was revoked or has expired, TNT_FORBIDDEN
   */
  rotate(id: string, options?: KeyRotate): Promise<CreatedKey | null>;
  /** From its commit on this process refuses the key at once, others within a second. @throws TNT_FORBIDDEN */
  revoke(id: string, options?: KeyRevoke): Promise<ApiKey | null>;
  /** Takes a revocation back. @throws TNT_CONFLICT when its time has passed, TNT_FORBIDDEN */
  restore(id: string): Promise<ApiKey | null>;
  /** Principal → read, write: who sees and manages the key beside holders of keys.read and keys.write. */
  acl(id: string): Promise<Acl | null>;
  /** Replaces the map. @throws TNT_INPUT_INVALID, TNT_NOT_FOUND, TNT_FORBIDDEN */
  setAcl(id: string, acl: AclInput): Promise<void>;
}

export function createKeys(kernel: Kernel, audit: Audit, options: KeysOptions = {}): Keys {
  const verifier = createVerifier(kernel, options);
  const { cache, peppers } = verifier;

  /** One transaction; afterwards this process forgets the key before it answers. */
  const change = async <T>(id: string, operation: 'create' | 'update', fn: (tx: Kernel) => Promise<T>): Promise<T> => {
    const done = await write('API key', operation, () => kernel.transaction(fn));
    cache.dropKey(id);
    return done;
  };
  const record = async (tx: Kernel, topic: string, id: string, details: object = {}): Promise<void> => {
    await audit.record({ action: topic, resourceId: id, details: { ...details } }, tx);
    await emitKeyEvent(tx, currentTenant().tenantId, topic, { keyId: id, ...details });
  };
  const look = (on: Kernel, id: string): Promise<ApiKey | null> => selectKey(on, currentTenant().tenantId, id);
  const present = async (on: Kernel, id: string): Promise<ApiKey> => inserted(await look(on, id), 'API key');

  const addSecret = async (
    tx: Kernel,
    key: Pick<ApiKey, 'id' | 'kind' | 'environment'>,
  ): Promise<{ key: string; hint: string }> => {
    const { key: text, publicId, hint } = newKey(keyPrefix(key.kind, key.environment));
    const { current, fresh } = peppers();
    const secret = { lookup: publicId, hint, hash: fresh(text), version: current };
    await insertSecret(tx, currentTenant().tenantId, key.id, {
      ...secret,
      bcryptHash: undefined,
      lookupPrefix: undefined,
    });
    return { key: text, hint };
  };

  const importOne = async (tx: Kernel, input: z.output<typeof keyImport>): Promise<ApiKey> => {
    const { key, bcryptHash, lookupPrefix, ...values } = input;
    const { tenantId } = currentTenant();
    const { current, fresh } = peppers();
    const hash = key === undefined ? undefined : fresh(key);
    const hint = lookupPrefix ?? hintOf(String(key));
    const made = inserted(await insertKey(tx, tenantId, values), 'API key');
    await insertSecret(tx, tenantId, made.id, {
      lookup: (key === undefined ? undefined : publicIdOf(key)) ?? (hash === undefined ? undefined : hashLookup(hash)),
      hint,
      hash,
      version: hash === undefined ? undefined : current,
      bcryptHash,
      lookupPrefix,
    });
    await record(tx, 'key.imported', made.id, { name: values.name, hint });
    return present(tx, made.id);
  };
  const importAll = (inputs: readonly z.output<typeof keyImport>[], made: ApiKey[], undo?: Error): Promise<ApiKey[]> =>
    write('API key', 'create', () =>
      kernel
        .transaction(async (tx) => {
          for (const input of inputs) made.push(await importOne(tx, input));
          if (undo !== undefined) throw undo;
          return made;
        })
        .catch((error: unknown) => {
          throw (error as { constraint?: unknown }).constraint === 'api_keys_lookup_prefix' ? crowdedPrefix() : error;
        }),
    );

  const keys: Keys = {
    verify: verifier.verify,
    run: verifier.run,
    close: verifier.close,
    ...createLeaks(verifier),
    async create(input) {
      const values = parseInput(keyCreate, input);
      return write('API key', 'create', () =>
        kernel.transaction(async (tx) => {
          const made = inserted(await insertKey(tx, currentTenant().tenantId, values), 'API key');
          const { key, hint } = await addSecret(tx, made);
          await record(tx, 'key.created', made.id, { name: values.name, hint });
          return { key, apiKey: await present(tx, made.id) };
        }),
      );
    },
    async import(input) {
      const [made] = await keys.importMany([input]);
      return inserted(made, 'API key');
    },
    async importMany(inputs, { dryRun = false } = {}) {
      const parsed = inputs.map((input, i) =>
        inputs.length === 1 ? parseInput(keyImport, input) : parseLine(input, i),
      );
      if (dryRun) {
        const made: ApiKey[] = [];
        const undo = new Error('nothing is to stay');
        await importAll(parsed, made, undo).catch((error: unknown) => {
          if (error !== undo) throw error;
        });
        return made;
      }
      return importAll(parsed, []);
    },
    get: async (id) => (isId(id) ? look(kernel, id) : null),
    async list(options = {}) {
      const { limit, cursor, namespaceId } = parseInput(keyList, options);
      const before = cursor === undefined ? undefined : decodeCursor('keys', cursor).id;
      const rows = await listKeys(kernel, currentTenant().tenantId, namespaceId, before, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('keys', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(keyUpdate, input);
      if (!isId(id)) return null;
      return change(id, 'update', async (tx) => {
        if (!(await updateKey(tx, currentTenant().tenantId, id, values))) {
          return orForbidden(null, () => look(tx, id), 'API key', 'update');
        }
        const topic = values.enabled === undefined ? 'key.updated' : values.enabled ? 'key.enabled' : 'key.disabled';
        await record(tx, topic, id, { fields: Object.keys(values) });
        return present(tx, id);
      });
    },
    expire: (id, at = new Date()) => keys.update(id, { expiresAt: at }),
    async rotate(id, options = {}) {
      const { overlapMs } = parseInput(keyRotate, options);
      if (!isId(id)) return null;
      return change(id, 'update', async (tx) => {
        const { tenantId } = currentTenant();
        const locked = await lockKey(tx, tenantId, id);
        if (locked === null) return orForbidden(null, () => look(tx, id), 'API key', 'update');
        if (locked.over) {
          throw new TenantryError('TNT_CONFLICT', 'The API key was revoked or has expired: it is not rotated.', {
            hint: 'Restore it first, or make another one.',
          });
        }
        await endSecrets(tx, tenantId, id, overlapMs);
        const { key, hint } = await addSecret(tx, locked);
        await record(tx, 'key.rotated', id, { hint, overlapMs });
        return { key, apiKey: await present(tx, id) };
      });
    },
    async revoke(id, options = {}) {
      const values = parseInput(keyRevoke, options);
      if (!isId(id)) return null;
      return change(id, 'update', async (tx) => {
        const revoked = await revokeKey(tx, currentTenant().tenantId, id, values);
        if (revoked === undefined) return orForbidden(null, () => look(tx, id), 'API key', 'update');
        if (revoked) await record(tx, 'key.revoked', id, values.reason === undefined ? {} : { reason: values.reason });
        return present(tx, id);
      });
    },
    async restore(id) {
      if (!isId(id)) return null;
      try {
        return await change(id, 'update', async (tx) => {
          if (await restoreKey(tx, currentTenant().tenantId, id)) await record(tx, 'key.restored', id);
          else if ((await look(tx, id))?.revokedAt != null)
            await orForbidden(null, () => look(tx, id), 'API key', 'update');
          return look(tx, id);
        });
      } catch (error) {
        if (!(error instanceof TenantryError) || error.code !== 'TNT_INPUT_INVALID') throw error;
        throw new TenantryError('TNT_CONFLICT', 'The time in which this revocation could be taken back has passed.', {
          hint: 'Make another key.',
          cause: error,
        });
      }
    },
    async acl(id) {
      if (!isId(id) || (await look(kernel, id)) === null) return null;
      return selectKeyAcl(kernel, currentTenant().tenantId, id);
    },
    async setAcl(id, acl) {
      const values = parseInput(aclSchema, acl);
      if (!isId(id)) throw unknownKey();
      await change(id, 'update', async (tx) => {
        if ((await look(tx, id)) === null) throw unknownKey();
        await replaceKeyAcl(tx, currentTenant().tenantId, id, values);
        await record(tx, 'key.acl', id);
      });
    },
  };
  return keys;
}

/** The beginning of a key, short enough to give nothing away. */
const hintOf = (key: string): string => key.slice(0, Math.min(12, Math.floor(key.length / 3)));

/** Names the entry that is wrong, among many. */
function parseLine(input: KeyImport, at: number): z.output<typeof keyImport> {
  try {
    return parseInput(keyImport, input);
  } catch (error) {
    const { message, details } = error as TenantryError;
    throw new TenantryError('TNT_INPUT_INVALID', `Key ${at + 1}: ${message}`, { details, cause: error });
  }
}

const crowdedPrefix = (): TenantryError =>
  new TenantryError('TNT_INPUT_INVALID', 'lookupPrefix: too many keys of this organization share it.', {
    hint: 'Give more characters of each key: 64 hashes of cost 10, or 16 of cost 12, can share a prefix.',
  });

const unknownKey = (): TenantryError =>
  new TenantryError('TNT_NOT_FOUND', 'There is no such API key in this organization.', {
    hint: 'List them with: tenantry keys list',
  });
