import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { TestDatabase } from '../../support/database.ts';

const pgDump = '/usr/lib/postgresql/15/bin/pg_dump';

/** PostgreSQL's own dump of the host's schema, with its rows or without; null where its program is not there or of another version. */
export function ownDump(db: TestDatabase, what: 'schema' | 'schema and rows'): string | null {
  if (db.version !== 15 || !existsSync(pgDump)) return null;
  const options = ['--exclude-schema=tenantry', ...(what === 'schema' ? ['--schema-only'] : [])];
  const text = execFileSync(pgDump, [...options, db.superuserUrl], { encoding: 'utf8', maxBuffer: 64 * 2 ** 20 });
  // the marks against tampering are random, and the order of rows is that of the file
  return text
    .replaceAll(/^\\(un)?restrict .*$/gm, '')
    .split('\n')
    .sort()
    .join('\n');
}
