import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseUrls } from '../database/open.ts';

/** Writes the URLs of an embedded database for shells and applications; only their owner may read them. */
export async function writeEnvironmentFile(folder: string, name: string, urls: DatabaseUrls): Promise<string> {
  const file = join(folder, name);
  await mkdir(folder, { recursive: true });
  const lines = [
    `DATABASE_URL=${urls.appUrl}`,
    `TENANTRY_ADMIN_URL=${urls.adminUrl}`,
    ...(urls.operatorUrl === undefined ? [] : [`TENANTRY_OPERATOR_URL=${urls.operatorUrl}`]),
  ];
  // a file that is there keeps its mode, and one that somebody else put there its owner
  await rm(file, { force: true });
  await writeFile(file, `${lines.join('\n')}\n`, { mode: 0o600, flag: 'wx' });
  return file;
}
