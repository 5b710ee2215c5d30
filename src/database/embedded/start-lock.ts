import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TenantryError } from '../../errors.ts';
import { isAlive } from './state.ts';

let serial = 0;

/**
 * Lets one caller at a time start, join, leave or stop the server of a folder; the lock of a killed process is taken
 * over. The lock is a file that appears with its holder's process id in it, so nobody sees it without.
 */
export async function withStartLock<T>(folder: string, fn: () => Promise<T>): Promise<T> {
  const lock = join(folder, 'starting');
  const own = `${lock}.${process.pid}.${(serial += 1)}`;
  mkdirSync(dirname(lock), { recursive: true });
  for (let waited = 0; !take(lock, own); waited += 50) {
    if (waited > 90_000)
      throw new TenantryError(
        'TNT_SERVER_UNREACHABLE',
        `Another process has been starting the server in ${folder} for over 90 seconds.`,
      );
    await sleep(50);
  }
  try {
    return await fn();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string, own: string): boolean {
  writeFileSync(own, String(process.pid));
  try {
    linkSync(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    if (!holderIsAlive(lock)) removeAbandoned(lock, `${own}.abandoned`);
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}

/** Moved aside before it is removed: two that find it abandoned at once must not remove what a third has taken since. */
function removeAbandoned(lock: string, aside: string): void {
  try {
    renameSync(lock, aside);
    if (holderIsAlive(aside)) linkSync(aside, lock);
  } catch {
    // somebody else was faster
  }
  rmSync(aside, { force: true, recursive: true });
}

function holderIsAlive(file: string): boolean {
  try {
    return isAlive(Number(readFileSync(file, 'utf8')));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'; // given back meanwhile
  }
}
