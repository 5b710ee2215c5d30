import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted, orForbidden } from '../directory/forbidden.ts';
import { parseInput } from '../directory/input.ts';
import { decodeCursor, decodeTimeCursor, encodeCursor, type Page, pageOf } from '../directory/page.ts';
import { isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import {
  countLimit,
  countStatement,
  directionOf,
  isShaped,
  isWalked,
  listStatement,
  positionOf,
  type Shape,
} from './list.ts';
import { deleteResource, insertResource, selectResource, updateResource } from './queries.ts';
import {
  type Resource,
  type ResourceCreate,
  type ResourceFilter,
  type ResourceListOptions,
  type ResourceListQuery,
  type ResourceUpdate,
  resourceCreate,
  resourceFilter,
  resourceList,
  resourceUpdate,
} from './schema.ts';
import { type ShapeColumns, shapeKey, Shapes } from './shapes.ts';

export interface Resources {
  /**
   * Makes an envelope, owned by the user of the context (or the organization, in a context without a user).
   *
   * @throws TNT_INPUT_INVALID (also an unregistered type), TNT_NOT_FOUND, TNT_FORBIDDEN for a workspace or an owner that
   * is not the caller's
   */
  create(input: ResourceCreate): Promise<Resource>;
  get(id: string): Promise<Resource | null>;
  /** What the caller may see, a page at a time, in one statement. @throws TNT_INPUT_INVALID, TNT_CURSOR_INVALID */
  list(options?: ResourceListOptions): Promise<Page<Resource>>;
  /** Counts up to a bound; beyond it `exact` is false. */
  count(filter?: ResourceFilter): Promise<{ count: number; exact: boolean }>;
  /** Owner, visibility and workspace can be changed by those alone who may grant. @throws TNT_FORBIDDEN, TNT_INPUT_INVALID */
  update(id: string, input: ResourceUpdate): Promise<Resource | null>;
  /** @throws TNT_FORBIDDEN */
  delete(id: string): Promise<Resource | null>;
}

/** With `id` null: the shape of an empty page. */
type Row = { [K in keyof Resource]: Resource[K] | null } & ShapeColumns & { position: unknown };
type Listed = Resource & ShapeColumns & { position: unknown };

export function createResources(kernel: Kernel): Resources {
  const shapes = new Shapes();
  return {
    create: (input) => createEnvelope(kernel, input),
    async get(id) {
      return isId(id) ? selectResource(kernel, currentTenant().tenantId, id) : null;
    },
    async list(options = {}) {
      const query = parseInput(resourceList, options);
      const name = cursorName(query);
      const decode = query.sort === 'name' ? decodeCursor : decodeTimeCursor;
      const after = query.cursor === undefined ? undefined : decode(name, query.cursor);
      const { tenantId, userId } = currentTenant();
      const key = isShaped(query) ? shapeKey(tenantId, userId, query) : undefined;
      const ask = async (shape: Shape | undefined): Promise<Listed[]> => {
        const since = performance.now();
        const { text, values } = listStatement(tenantId, query, { after, shape });
        const rows = await kernel.query<Row>(text, values);
        if (key === undefined) return rows as Listed[];
        if (shape !== undefined) {
          shapes.forgetIfSlow(key, since);
          return rows as Listed[];
        }
        if (rows[0] !== undefined) shapes.learn(key, rows[0]);
        return rows.filter((row): row is Listed => row.id !== null);
      };
      const shape = key === undefined ? undefined : shapes.get(key);
      let rows = await ask(shape);
      // Shorter than when it was measured: something was deleted, or taken back.
      if (isWalked(query, shape) && rows.length <= query.limit) rows = await ask(undefined);
      const { items, nextCursor } = pageOf(rows, query.limit, (last) =>
        encodeCursor(name, positionOf(query.sort, last), last.id),
      );
      return { items: items.map(resourceOf), nextCursor };
    },
    async count(filter = {}) {
      const { text, values } = countStatement(currentTenant().tenantId, parseInput(resourceFilter, filter));
      const [row] = await kernel.query<{ count: number }>(text, values);
      const count = Number(row?.count);
      return { count: Math.min(count, countLimit), exact: count <= countLimit };
    },
    async update(id, input) {
      const values = parseInput(resourceUpdate, input);
      const { tenantId } = currentTenant();
      if (!isId(id)) return null;
      return write('resource', 'update', async () =>
        orForbidden(
          await updateResource(kernel, tenantId, id, values),
          () => selectResource(kernel, tenantId, id),
          'resource',
          'update',
        ),
      );
    },
    async delete(id) {
      const { tenantId } = currentTenant();
      if (!isId(id)) return null;
      return write('resource', 'delete', async () =>
        orForbidden(
          await deleteResource(kernel, tenantId, id),
          () => selectResource(kernel, tenantId, id),
          'resource',
          'delete',
        ),
      );
    },
  };
}

/** Makes the envelope that a table keyed (tenant_id, resource_id) hangs on; inside the caller's transaction with its kernel. */
export async function createEnvelope(kernel: Kernel, input: ResourceCreate): Promise<Resource> {
  const values = parseInput(resourceCreate, input);
  const { tenantId, userId } = currentTenant();
  const owner = values.ownerPrincipalId ?? userId ?? tenantId;
  return write('resource', 'create', async () =>
    inserted(await insertResource(kernel, tenantId, owner, values), 'resource'),
  );
}

/** Field by field: leaving columns out of a spread takes twenty times as long. */
function resourceOf(row: Listed): Resource {
  return {
    tenantId: row.tenantId,
    id: row.id,
    type: row.type,
    name: row.name,
    workspaceId: row.workspaceId,
    ownerPrincipalId: row.ownerPrincipalId,
    visibility: row.visibility,
    data: row.data,
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
  };
}

const cursorName = (query: ResourceListQuery): string => `resources.${query.sort}.${directionOf(query)}`;
