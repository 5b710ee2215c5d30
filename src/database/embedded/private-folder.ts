import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { TenantryError } from '../../errors.ts';

const othersMayWrite = 0o022;

/** Where root keeps what the server's account has to reach. Everybody may write beside it. */
export const sharedPlace = '/var/tmp/tenantry';

/** The place of a project's data there; its whole path counts, so that no two projects meet. */
export function sharedPlaceOf(folder: string): string {
  return join(sharedPlace, createHash('sha256').update(folder).digest('hex').slice(0, 32));
}

/**
 * Makes a folder in a place where everybody may write, or checks that the one that is there is ours: somebody else
 * could have made it first, as a link or with their own programs in it, and we run and write what is inside as root.
 *
 * @param from the first folder of `path` that has to be ours; what is above it is the system's
 * @throws TNT_PRIVILEGE_MISSING naming the folder
 */
export function ensurePrivateFolder(path: string, from: string): void {
  if (path !== from) ensurePrivateFolder(dirname(path), from);
  try {
    mkdirSync(path);
    chmodSync(path, 0o755); // whatever the umask: the server's account walks through
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  assertPrivate(path);
}

/** @throws TNT_PRIVILEGE_MISSING for a link, somebody else's folder, or one that others may write to */
export function assertPrivate(path: string): void {
  const found = lstatSync(path);
  const owner = process.geteuid?.();
  if (found.isDirectory() && (owner === undefined || (found.uid === owner && (found.mode & othersMayWrite) === 0)))
    return;
  throw new TenantryError(
    'TNT_PRIVILEGE_MISSING',
    `${path} is not a folder of your own that nobody else may write to; nothing in it was used.`,
    { hint: `Look who made it (ls -ld ${path}), then remove it.` },
  );
}
