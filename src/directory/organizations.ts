import { currentContext, withTenant, withUser } from '../context/context.ts';
import type { UserId } from '../context/types.ts';
import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { inserted, orForbidden } from './forbidden.ts';
import { isText, parseInput } from './input.ts';
import { decodeCursor, encodeCursor, type Page, pageOf } from './page.ts';
import {
  deleteOrganization,
  insertOrganization,
  listOrganizations,
  newId,
  organizationIdBy,
  selectOrganization,
  selectOrganizationBySlug,
  updateOrganization,
} from './queries/organizations.ts';
import {
  isId,
  isSlug,
  type ListOptions,
  listSchema,
  type Organization,
  type OrganizationCreate,
  type OrganizationUpdate,
  organizationCreate,
  organizationUpdate,
} from './schema.ts';
import { write } from './write-error.ts';

export interface Organizations {
  /**
   * Makes an organization with its principals and a workspace, and the user of the context its first administrator.
   *
   * @throws TNT_INPUT_INVALID, TNT_SLUG_TAKEN, TNT_CONTEXT_MISSING without a user
   * @example
   * ```ts
   * const acme = await withUser({ userId }, () => t.organizations.create({ name: 'Acme', slug: 'acme' }));
   * ```
   */
  create(input: OrganizationCreate): Promise<Organization>;
  /** Null when there is none or the context may not see it. */
  get(id: string): Promise<Organization | null>;
  getBySlug(slug: string): Promise<Organization | null>;
  /** The user's organizations; inside a tenant that one alone. */
  list(options?: ListOptions): Promise<Page<Organization>>;
  /** @throws TNT_INPUT_INVALID, TNT_SLUG_TAKEN, TNT_FORBIDDEN without organization.update */
  update(id: string, input: OrganizationUpdate): Promise<Organization | null>;
  /** Takes everything of it along: members, tokens, sync state, resources, audit entries. @throws TNT_FORBIDDEN */
  delete(id: string): Promise<Organization | null>;
  /** Before any tenant: the id behind a slug, a host key or a sign-in domain. A claim until membership is verified. */
  idBySlug(slug: string): Promise<string | null>;
  idByKey(key: string): Promise<string | null>;
  idByDomain(domain: string): Promise<string | null>;
}

export function createOrganizations(kernel: Kernel): Organizations {
  return {
    async create(input) {
      const values = parseInput(organizationCreate, input);
      const userId = userOfContext();
      return withUser({ userId }, () =>
        write('organization', 'create', () =>
          kernel.transaction(async (tx) => {
            const id = await newId(tx);
            await insertOrganization(tx, id, userId, values);
            return inserted(await selectOrganization(tx, id), 'organization');
          }),
        ),
      );
    },
    async get(id) {
      return isId(id) ? selectOrganization(kernel, id) : null;
    },
    async getBySlug(slug) {
      return isSlug(slug) ? selectOrganizationBySlug(kernel, slug) : null;
    },
    async list(options = {}) {
      const { limit, cursor } = parseInput(listSchema, options);
      const after = cursor === undefined ? undefined : decodeCursor('organizations', cursor).id;
      const rows = await listOrganizations(kernel, after, limit + 1);
      return pageOf(rows, limit, (last) => encodeCursor('organizations', '', last.id));
    },
    async update(id, input) {
      const values = parseInput(organizationUpdate, input);
      if (!isId(id)) return null;
      return inOrganization(kernel, id, () =>
        write('organization', 'update', async () =>
          orForbidden(
            await updateOrganization(kernel, id, values),
            () => selectOrganization(kernel, id),
            'organization',
            'update',
          ),
        ),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return inOrganization(kernel, id, () =>
        write('organization', 'delete', async () =>
          orForbidden(
            await deleteOrganization(kernel, id),
            () => selectOrganization(kernel, id),
            'organization',
            'delete',
          ),
        ),
      );
    },
    idBySlug: async (slug) => (isText(slug) ? organizationIdBy(kernel, 'slug', slug) : null),
    idByKey: async (key) => (isText(key) ? organizationIdBy(kernel, 'key', key) : null),
    idByDomain: async (domain) => (isText(domain) ? organizationIdBy(kernel, 'domain', domain) : null),
  };
}

/** A user who has not chosen an organization may still change one of theirs: the id is a claim until they see it. */
async function inOrganization<T>(kernel: Kernel, id: string, fn: () => Promise<T | null>): Promise<T | null> {
  const context = currentContext();
  if (context?.kind !== 'user') return fn();
  if ((await selectOrganization(kernel, id)) === null) return null;
  return withTenant({ tenantId: id, userId: context.userId }, fn);
}

/** @throws TNT_CONTEXT_MISSING */
export function userOfContext(): UserId {
  const context = currentContext();
  const userId = context?.kind === 'tenant' || context?.kind === 'user' ? context.userId : undefined;
  if (userId !== undefined) return userId;
  throw new TenantryError('TNT_CONTEXT_MISSING', 'There is no user here: this call acts for one.', {
    hint: 'Run it inside withUser({ userId }, fn) or withTenant({ tenantId, userId }, fn).',
  });
}
