import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted } from '../directory/forbidden.ts';
import { isText, parseInput } from '../directory/input.ts';
import { isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import { deleteCatalogItem, selectCatalog, selectCatalogEntry, upsertCatalogItem } from './catalog-queries.ts';
import { type CatalogEntry, type CatalogSet, catalogSet } from './schema.ts';

/** Entries by type and key, laid over each other: global → organization → team → user, the nearest wins. */
export interface Catalog {
  /** What the caller gets for a key, or null. Of two teams the newer entry wins. */
  get(type: string, key: string): Promise<CatalogEntry | null>;
  /** One entry per key, the nearest. */
  list(type: string): Promise<CatalogEntry[]>;
  /**
   * Writes an entry at the level of a principal: one's own, or with catalog.write a team's or the organization's.
   * Global entries come by migration or operator.
   *
   * @throws TNT_FORBIDDEN, TNT_NOT_FOUND, TNT_INPUT_INVALID
   */
  set(input: CatalogSet): Promise<CatalogEntry>;
  /** Uncovers what lies below. False when there was nothing that the caller may remove. */
  remove(type: string, key: string, principalId: string): Promise<boolean>;
}

export function createCatalog(kernel: Kernel): Catalog {
  const tenant = (): string => currentTenant().tenantId;
  return {
    async get(type, key) {
      return isText(type) && isText(key) ? selectCatalogEntry(kernel, tenant(), type, key) : null;
    },
    async list(type) {
      return isText(type) ? selectCatalog(kernel, tenant(), type) : [];
    },
    async set(input) {
      const values = parseInput(catalogSet, input);
      return write('catalog entry', 'update', async () =>
        inserted(await upsertCatalogItem(kernel, tenant(), values), 'catalog entry'),
      );
    },
    async remove(type, key, principalId) {
      return (
        isId(principalId) && isText(type) && isText(key) && deleteCatalogItem(kernel, tenant(), type, key, principalId)
      );
    },
  };
}
