import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What is kept in `server.json` while an embedded server runs. */
export interface RunningServer {
  readonly pid: number;
  readonly port: number;
  /** Process that will stop it. */
  readonly startedBy: number;
}

const fileOf = (folder: string): string => join(folder, 'server.json');

export function readServerState(folder: string): RunningServer | undefined {
  try {
    const state = JSON.parse(readFileSync(fileOf(folder), 'utf8')) as Partial<RunningServer>;
    if (typeof state.pid !== 'number' || typeof state.port !== 'number' || typeof state.startedBy !== 'number')
      return undefined;
    return { pid: state.pid, port: state.port, startedBy: state.startedBy };
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

/** Signal 0 asks for existence alone; a process of another user answers EPERM. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
