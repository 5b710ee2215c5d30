import type { Kernel } from '../database/kernel.ts';
import { parseInput } from '../directory/input.ts';
import { write } from '../directory/write-error.ts';
import { insertResourceType, selectResourceTypes } from './queries.ts';
import { resourceTypeCreate } from './schema.ts';

/**
 * The types that Tenantry brings: this list and the first rows of tenantry.resource_types, which a test compares.
 * A new one of ours is a line here and a row in a migration.
 */
export const builtInResourceTypes = ['prompt', 'collection', 'model', 'integration', 'tag'] as const;
export type BuiltInResourceType = (typeof builtInResourceTypes)[number];

/** One of ours, or what the adopter has registered. */
export type ResourceType = BuiltInResourceType | (string & {});

/**
 * Makes the database accept a type of the adopter's own. Run it where migrations run: the application's login may not.
 * Safe to repeat.
 *
 * @throws TNT_INPUT_INVALID, TNT_FORBIDDEN on the application's connection
 * @example
 * ```ts
 * await registerResourceType(createKernel(adminPool), { name: 'dashboard', description: 'A page of charts' });
 * ```
 */
export async function registerResourceType(kernel: Kernel, type: { name: string; description: string }): Promise<void> {
  const values = parseInput(resourceTypeCreate, type);
  await write('resource type', 'create', () => insertResourceType(kernel, values.name, values.description));
}

/** Every type that the database accepts. */
export async function listResourceTypes(
  kernel: Kernel,
): Promise<{ name: string; description: string; builtIn: boolean }[]> {
  return selectResourceTypes(kernel);
}
