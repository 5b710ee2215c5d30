import { TenantryError } from '../errors.ts';

/** Compares a text with a bcrypt hash. */
export type CompareBcrypt = (text: string, hash: string) => Promise<boolean>;

const atOnce = 2;
const mostWaiting = 32;

/** bcrypt hashes nothing behind its 72nd byte: two such keys would be one. */
export const bcryptLimit = 72;

/**
 * Compares two at a time, because each takes a processor for 50 ms and more, and lets only so many wait.
 *
 * @throws TNT_RATE_LIMITED
 */
export function inTurns(compare: CompareBcrypt): CompareBcrypt {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (text, hash) => {
    if (running >= atOnce) {
      if (waiting.length >= mostWaiting) {
        throw new TenantryError('TNT_RATE_LIMITED', 'Too many imported keys are being checked for the first time.', {
          details: { retryAfterMs: 1000, retryAfter: 1 },
        });
      }
      await new Promise<void>((resolve) => waiting.push(resolve));
    }
    running += 1;
    try {
      return await compare(text, hash);
    } finally {
      running -= 1;
      waiting.shift()?.();
    }
  };
}

/**
 * bcryptjs in this thread.
 *
 * @throws TNT_DEPENDENCY_MISSING
 */
export function bcryptHere(load: () => Promise<{ compare: CompareBcrypt }> = () => import('bcryptjs')): CompareBcrypt {
  return async (text, hash) => {
    const bcrypt = await load().catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
      throw new TenantryError('TNT_DEPENDENCY_MISSING', 'Keys that were imported as bcrypt hashes need bcryptjs.', {
        hint: 'Install: npm install bcryptjs',
        cause: error,
      });
    });
    return bcrypt.compare(text, hash);
  };
}
