import { TenantryError } from '../errors.ts';

/** The SQLSTATE of a server error, or the system's error code; undefined for anything else. */
export function sqlStateOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

const unreachable = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ECONNRESET',
  'EAI_AGAIN',
  '08006',
  '08001',
  '57P03',
  '57P01',
  '57P02',
  '53300',
]);
const refused: Record<string, string> = {
  '28P01': 'The server refused the login: wrong user or password.',
  '28000': 'The server refused the login: it is not allowed to connect.',
  '3D000': 'The database does not exist.',
};

/** Turns what the environment did (no server, no privilege, no space) into our error; leaves everything else as it is. */
export function translateDatabaseError(error: unknown): unknown {
  if (error instanceof TenantryError) return error;
  const code = sqlStateOf(error);
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof AggregateError && error.errors.length > 0) return translateDatabaseError(error.errors[0]);
  if (code === undefined) {
    return /timeout|terminated unexpectedly|connection error and is not queryable/i.test(message)
      ? new TenantryError('TNT_SERVER_UNREACHABLE', 'The server did not answer in time or closed the connection.', {
          cause: error,
        })
      : error;
  }
  if (unreachable.has(code))
    return new TenantryError('TNT_SERVER_UNREACHABLE', `The server cannot be reached (${code}).`, { cause: error });
  const login = refused[code];
  if (login !== undefined) return new TenantryError('TNT_SERVER_UNREACHABLE', login, { cause: error });
  if (code === '42501')
    return new TenantryError('TNT_PRIVILEGE_MISSING', `The login lacks a privilege: ${message}.`, { cause: error });
  if (code === '53100')
    return new TenantryError('TNT_DISK_FULL', 'The server has no disk space left; the transaction was rolled back.', {
      cause: error,
    });
  if (code === '25006') {
    return new TenantryError('TNT_PRIVILEGE_MISSING', 'The server or the session is read-only (a replica?).', {
      cause: error,
      hint: 'Connect to the primary server.',
    });
  }
  return error;
}
