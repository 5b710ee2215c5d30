import type { Kernel } from '../database/kernel.ts';
import type { KeyEntry } from './entry.ts';
import { touchKeys } from './lookup-queries.ts';

/** When keys were used: collected, and written down once in a while. A request waits for none of it. */
export class KeyUses {
  readonly #kernel: Kernel;
  readonly #everyMs: number;
  readonly #onError: (error: unknown) => void;
  #seen = new Map<string, KeyEntry>();
  #timer: NodeJS.Timeout | undefined;
  readonly #most: number;
  #writing: Promise<void> = Promise.resolve();

  constructor(kernel: Kernel, everyMs: number, onError: (error: unknown) => void, most = 10_000) {
    this.#most = most;
    this.#kernel = kernel;
    this.#everyMs = everyMs;
    this.#onError = onError;
  }

  note(entry: KeyEntry, now: number): void {
    if (entry.usedAt === 0) this.#add(entry);
    entry.usedAt = now;
  }

  #add(entry: KeyEntry): void {
    this.#seen.set(entry.verified.keyId, entry);
    if (this.#seen.size >= this.#most) void this.flush();
    else if (this.#timer === undefined) {
      this.#timer = setTimeout(() => void this.flush(), this.#everyMs);
      this.#timer.unref();
    }
  }

  /** Writes what was collected; an error is told, and what it was about is written with the next use. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const seen = [...this.#seen.values()];
    this.#seen = new Map();
    this.#writing = this.#writing.then(() => this.#write(seen));
    return this.#writing;
  }

  async #write(seen: readonly KeyEntry[]): Promise<void> {
    if (seen.length === 0) return;
    const now = performance.now();
    const uses = seen.map(({ verified: { tenantId, keyId }, usedAt }) => ({
      tenantId,
      keyId,
      secondsAgo: (now - usedAt) / 1000,
    }));
    for (const entry of seen) entry.usedAt = 0;
    try {
      await touchKeys(this.#kernel, uses);
    } catch (error) {
      this.#onError(error);
    }
  }
}
