import type { KeyEntry } from './entry.ts';

/** A key, or the knowledge that there is none. */
export type Found = KeyEntry | null;

interface Flight {
  readonly found: Promise<Found>;
  /** Something was said about the key after it was read. */
  stale: boolean;
}

interface Unknown {
  readonly freshUntil: number;
}

/** The newest of a kind: two generations, so that a hit costs one look-up and nothing is reordered. */
class Recent<T> {
  #young = new Map<string, T>();
  #old = new Map<string, T>();
  readonly #half: number;

  constructor(limit: number) {
    this.#half = Math.max(1, Math.floor(limit / 2));
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }

  get(key: string): T | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  set(key: string, value: T): void {
    this.#old.delete(key);
    if (this.#young.size >= this.#half && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: string): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
  }

  deleteWhere(test: (value: T) => boolean): void {
    for (const map of [this.#young, this.#old]) {
      for (const [key, value] of map) if (test(value)) map.delete(key);
    }
  }
}

export interface CacheLimits {
  readonly maxAgeMs: number;
  /** Keys kept. */
  readonly maxKeys: number;
  /** Names of keys that do not exist kept: apart, so that guesses push no real key out. */
  readonly maxUnknown: number;
}

const mostReads = 5;

/**
 * Keys that were looked up lately. Nothing in it is older than `maxAgeMs`, counted from before it was read. What is said
 * to have changed is dropped, also from reads that are under way: their answer may be from before the change, so it is
 * neither kept nor used.
 */
export class KeyCache {
  readonly #limits: CacheLimits;
  readonly #keys: Recent<KeyEntry>;
  readonly #unknown: Recent<Unknown>;
  readonly #flights = new Map<string, Flight>();
  /** False while changes are not heard of: every key is read each time. */
  trusted = false;

  constructor(limits: CacheLimits) {
    this.#limits = limits;
    this.#keys = new Recent(limits.maxKeys);
    this.#unknown = new Recent(limits.maxUnknown);
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Undefined: nothing fresh is known. */
  get(lookup: string, now: number): Found | undefined {
    const entry = this.#keys.get(lookup);
    if (entry !== undefined && entry.freshUntil > now) return entry;
    const unknown = this.#unknown.get(lookup);
    return unknown !== undefined && unknown.freshUntil > now ? null : undefined;
  }

  /** Reads a key, once for all who ask meanwhile, and keeps it unless something was said about it. */
  async load(lookup: string, read: () => Promise<Found>): Promise<Found> {
    if (!this.trusted) return read();
    for (let reads = 1; ; reads += 1) {
      const flight = this.#flights.get(lookup) ?? this.#start(lookup, read);
      const found = await flight.found;
      // each further read began after what made the one before it stale
      if (!flight.stale || reads === mostReads) return found;
    }
  }

  #start(lookup: string, read: () => Promise<Found>): Flight {
    const askedAt = performance.now();
    const flight: Flight = { found: read(), stale: false };
    this.#flights.set(lookup, flight);
    const landed = (found: Found | undefined): void => {
      if (this.#flights.get(lookup) === flight) this.#flights.delete(lookup);
      if (flight.stale || !this.trusted || found === undefined) return;
      if (found === null) this.#unknown.set(lookup, { freshUntil: askedAt + this.#limits.maxAgeMs });
      else this.#keys.set(lookup, found);
    };
    flight.found.then(landed, () => landed(undefined));
    return flight;
  }

  /** A key has changed. */
  drop(lookup: string): void {
    this.#keys.delete(lookup);
    this.#unknown.delete(lookup);
    this.#spoil(lookup);
  }

  /** The same where only its id is known: what is being read may be it. */
  dropKey(keyId: string): void {
    this.#keys.deleteWhere(({ verified }) => verified.keyId === keyId);
    for (const lookup of this.#flights.keys()) this.#spoil(lookup);
  }

  dropAll(): void {
    this.#keys.clear();
    this.#unknown.clear();
    for (const lookup of this.#flights.keys()) this.#spoil(lookup);
  }

  #spoil(lookup: string): void {
    const flight = this.#flights.get(lookup);
    if (flight === undefined) return;
    flight.stale = true;
    this.#flights.delete(lookup);
  }
}
