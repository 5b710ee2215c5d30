import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** The system account that PostgreSQL runs under. `undefined` ids mean: our own. */
export interface Account {
  readonly name: string;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
}

/**
 * PostgreSQL refuses to run as root ("initdb" and "postgres" in its manual). As root we therefore run it as `postgres`,
 * or, where that user does not exist, as `nobody`: no account is ever created on somebody's machine.
 */
export function serverAccount(): Account {
  if (process.getuid?.() !== 0) return { name: 'you', uid: undefined, gid: undefined };
  const users = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = users.find((line) => line.startsWith(`${name}:`))?.split(':');
    const uid = Number(fields?.[2]);
    const gid = Number(fields?.[3]);
    if (fields !== undefined && Number.isInteger(uid) && Number.isInteger(gid) && uid !== 0) return { name, uid, gid };
  }
  return { name: 'nobody', uid: 65534, gid: 65534 };
}

/** Whether the account can walk to `path` and read it: a clone below /root or in a private temporary folder is closed to others. */
export function canReach(account: Account, path: string): boolean {
  if (account.uid === undefined) {
    try {
      accessSync(path, constants.R_OK);
      return true;
    } catch {
      return false;
    }
  }
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const { mode, uid, gid } = statSync(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return false;
    if (folder === dirname(folder)) return true;
  }
}
