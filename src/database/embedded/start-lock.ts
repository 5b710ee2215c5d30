import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TenantryError } from '../../errors.ts';
import { isAlive } from './state.ts';

/** Lets one process at a time initialise and start a folder; the lock of a killed process is taken over. */
export async function withStartLock<T>(folder: string, fn: () => Promise<T>): Promise<T> {
  const lock = join(folder, 'starting');
  const holder = join(lock, 'pid');
  for (let waited = 0; ; waited += 50) {
    try {
      mkdirSync(lock);
      writeFileSync(holder, String(process.pid));
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    if (waited >= 1000 && !holderIsAlive(holder)) rmSync(lock, { recursive: true, force: true });
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
    rmSync(lock, { recursive: true, force: true });
  }
}

function holderIsAlive(file: string): boolean {
  try {
    return isAlive(Number(readFileSync(file, 'utf8')));
  } catch {
    return false;
  }
}
