import { existsSync } from 'node:fs';
import { extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModule } from '../../config/load.ts';
import { TenantryError } from '../../errors.ts';
import { readHooks } from './read.ts';
import type { AdoptHooks } from './types.ts';

/** Hooks work with the version that runs them, whatever else is installed. */
const ownModule = fileURLToPath(new URL(`../index${extname(import.meta.url)}`, import.meta.url));

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
    hooks = await loadModule(path, { 'tenantry/adopt': ownModule });
  } catch (cause) {
    const said = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new TenantryError('TNT_HOOKS_INVALID', `${file} cannot be read: ${said}`, { cause });
  }
  readHooks(hooks as AdoptHooks);
  return hooks as AdoptHooks;
}
