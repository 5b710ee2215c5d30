import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { loadModule } from '../../config/load.ts';
import { TenantryError } from '../../errors.ts';
import { readHooks } from './read.ts';
import type { AdoptHooks } from './types.ts';

/**
 * The default export of a file `.ts`, `.mts`, `.js` or `.mjs`, checked.
 *
 * @throws TNT_HOOKS_INVALID
 */
export async function loadAdoptHooks(file: string): Promise<AdoptHooks> {
  const path = resolve(file);
  if (!existsSync(path)) throw new TenantryError('TNT_HOOKS_INVALID', `The file of the hooks does not exist: ${file}.`);
  let hooks: unknown;
  try {
    hooks = await loadModule(path);
  } catch (cause) {
    const said = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new TenantryError('TNT_HOOKS_INVALID', `${file} cannot be read: ${said}`, { cause });
  }
  readHooks(hooks as AdoptHooks);
  return hooks as AdoptHooks;
}
