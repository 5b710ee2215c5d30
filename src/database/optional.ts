import { TenantryError } from '../errors.ts';

/** Loads what only one part needs; its absence is one clear line. @throws TNT_DEPENDENCY_MISSING */
export async function loadOptional<T>(load: () => Promise<T>, packages: string): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new TenantryError('TNT_DEPENDENCY_MISSING', `This needs the package ${packages}.`, {
      hint: `Install: npm install ${packages}`,
      cause: error,
    });
  }
}
