import { TenantryError } from '../errors.ts';
import type { KeyEntry } from './entry.ts';
import { revokeLeakedKey } from './lookup-queries.ts';
import { recognize, type Verifying } from './verify.ts';
import type { VerifierInside } from './verifier.ts';

/** A key that was found where it should not be. */
export interface LeakReport {
  readonly key: string;
  /** Who found it. Written to the audit log. */
  readonly reporter: string;
  /** Where. */
  readonly url?: string | undefined;
}

export interface Leaks {
  /**
   * Revokes a key that somebody found in public, for good, and tells its organization: an audit entry and the event
   * `key.leaked`, in one transaction. Whether there is such a key is answered to you alone: tell no reporter.
   *
   * @returns true when the key was revoked by this report
   */
  reportLeak(report: LeakReport): Promise<boolean>;
}

const longestUrl = 2_000;

export function createLeaks({ verifying, cache }: VerifierInside): Leaks {
  return {
    async reportLeak({ key, reporter, url }) {
      const v = verifying();
      // whoever reports is known: its guesses count for nobody's address
      const entry = await known({ ...v, throttle: { admit: () => {}, failed: async () => {} } }, key);
      if (entry === undefined) return false;
      const details = {
        reporter,
        ...(url === undefined ? {} : { url: url.replaceAll(key, '…').slice(0, longestUrl) }),
      };
      const revoked = await revokeLeakedKey(v.kernel, {
        tenantId: entry.verified.tenantId,
        secretId: entry.secretId,
        hashes: v.peppers.versions.map((version) => v.peppers.digest(version, key) as Buffer),
        bcrypt: entry.bcrypt,
        details,
      });
      cache.dropKey(entry.verified.keyId);
      return revoked;
    },
  };
}

async function known(v: Verifying, key: string): Promise<KeyEntry | undefined> {
  try {
    return (await recognize(v, key, undefined)).entry;
  } catch (error) {
    if (error instanceof TenantryError && error.code === 'TNT_KEY_INVALID') return undefined;
    throw error;
  }
}
