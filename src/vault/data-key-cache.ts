export interface DataKeyCacheOptions {
  /** Unwrapped data keys kept at most. Defaults to 1000. */
  readonly maxKeys?: number;
  /** How long one is kept, in milliseconds: 10 at least. Defaults to 300,000. */
  readonly maxAgeMs?: number;
}

interface Entry {
  readonly key: Buffer;
  readonly wrapped: string;
  readonly expiresAt: number;
  uses: number;
  dropped: boolean;
}

/**
 * Unwrapped data keys: bounded in number and time, and overwritten with zeros when they go. A key in use stays whole
 * until its last user is done: encrypting with zeros would be worse than a key that lives a little longer.
 */
export class DataKeyCache {
  readonly #entries = new Map<string, Entry>();
  readonly #maxKeys: number;
  readonly #maxAgeMs: number;
  #sweeper: NodeJS.Timeout | undefined;

  constructor({ maxKeys = 1000, maxAgeMs = 300_000 }: DataKeyCacheOptions = {}) {
    this.#maxKeys = maxKeys;
    this.#maxAgeMs = Math.max(10, maxAgeMs); // whoever has just unwrapped a key must find it
  }

  get size(): number {
    return this.#entries.size;
  }

  has(name: string): boolean {
    return this.#fresh(name) !== undefined;
  }

  /** Takes the key over: the caller's buffer is the one that will be zeroed. `wrapped` is what it was unwrapped from. */
  set(name: string, key: Buffer, wrapped = ''): void {
    this.#drop(name);
    this.#entries.set(name, { key, wrapped, expiresAt: Date.now() + this.#maxAgeMs, uses: 0, dropped: false });
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= Math.max(1, this.#maxKeys)) break;
      this.#drop(oldest);
    }
    this.#sweeper ??= setInterval(() => this.#sweep(), Math.max(50, this.#maxAgeMs / 4)).unref();
  }

  /**
   * Runs `fn` with the key, or returns undefined when it is not here, or was unwrapped from something else than `wrapped`.
   * The key must not be kept.
   */
  use<T>(name: string, fn: (key: Buffer) => T, wrapped?: string): { readonly result: T } | undefined {
    const entry = this.#fresh(name);
    if (entry === undefined || (wrapped !== undefined && entry.wrapped !== wrapped)) return undefined;
    this.#entries.delete(name); // the least recently used one goes first
    this.#entries.set(name, entry);
    entry.uses += 1;
    const release = (): void => {
      entry.uses -= 1;
      if (entry.dropped && entry.uses === 0) entry.key.fill(0);
    };
    try {
      const result = fn(entry.key);
      if (result instanceof Promise)
        void result.finally(release).catch(() => {}); // whoever called sees the error
      else release();
      return { result };
    } catch (error) {
      release();
      throw error;
    }
  }

  clear(): void {
    for (const name of this.#entries.keys()) this.#drop(name);
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }

  #fresh(name: string): Entry | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined || entry.expiresAt > Date.now()) return entry;
    this.#drop(name);
    return undefined;
  }

  #sweep(): void {
    for (const name of this.#entries.keys()) this.#fresh(name);
    if (this.#entries.size === 0) this.clear();
  }

  #drop(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    entry.dropped = true;
    if (entry.uses === 0) entry.key.fill(0);
  }
}
