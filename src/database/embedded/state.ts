import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is kept in `server.json` while an embedded server runs. */
export interface RunningServer {
  readonly pid: number;
  readonly port: number;
  /** Who uses it, as `process.number`: the last one to leave stops it. */
  readonly users: readonly string[];
}

const fileOf = (folder: string): string => join(folder, 'server.json');

export function readServerState(folder: string): RunningServer | undefined {
  try {
    const state = JSON.parse(readFileSync(fileOf(folder), 'utf8')) as Partial<RunningServer>;
    const { pid, port, users } = state;
    if (typeof pid !== 'number' || typeof port !== 'number' || !Array.isArray(users)) return undefined;
    return { pid, port, users: users.filter((user) => typeof user === 'string') };
  } catch {
    return undefined; // absent, or cut off by a kill: the lock file of PostgreSQL decides then
  }
}

export function writeServerState(folder: string, state: RunningServer): void {
  const half = `${fileOf(folder)}.${process.pid}`;
  writeFileSync(half, `${JSON.stringify(state)}\n`);
  renameSync(half, fileOf(folder));
}

export function removeServerState(folder: string): void {
  rmSync(fileOf(folder), { force: true });
}

let serial = 0;

/** A name for one more use of a server by this process. */
export function newUser(): string {
  return `${process.pid}.${(serial += 1)}`;
}

/** Those whose process still runs: one that was killed has left. */
export function present(users: readonly string[]): string[] {
  return users.filter((user) => isAlive(Number.parseInt(user, 10)));
}

/** Signal 0 asks for existence alone; a process of another user answers EPERM. */
export function isAlive(pid: number): boolean {
  if (!(pid > 0)) return false; // 0 would be everybody of our own group
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
