import { randomBytes } from 'node:crypto';
import type { StatementClass } from './statement-class.ts';
import { classify } from './statement-class.ts';

const generation = 2_000;
const longestKept = 32_768;

/** What is known of one text: found out once, used by every query of that text. */
export interface TextEntry extends StatementClass {
  readonly text: string;
  /** The name under which it is prepared when it is named automatically. */
  readonly name: string;
  uses: number;
  /** Names a table whose tenants differ widely in size: never prepared. */
  readonly skewed: boolean;
  /** Cannot run with a context in front (25001): found out by trying. */
  outside: boolean;
  /** Raised a shadow notice: read the counters behind it from now on. */
  misses: boolean;
  /** Runs on a shared connection, and how many of them held it up; both forget with time. */
  sharedRuns: number;
  overruns: number;
  fingerprint: string | undefined;
}

/** The texts of a pool, newest kept: two generations, so that a hit costs one look-up and nothing is reordered. */
export class TextRegistry {
  #young = new Map<string, TextEntry>();
  #old = new Map<string, TextEntry>();
  // Behind a pooler that nobody told us of, another process's statement of the same name would answer for ours.
  readonly #instance = randomBytes(4).toString('hex');
  #next = 1;
  readonly #skewed: RegExp | undefined;

  constructor(skewedTables: readonly string[] = []) {
    const names = skewedTables.map((name) => (name.split('.').at(-1) ?? name).replaceAll(/[^\w$]/g, '\\$&'));
    this.#skewed = names.length === 0 ? undefined : new RegExp(`\\b(?:${names.join('|')})\\b`, 'i');
  }

  entry(text: string): TextEntry {
    return this.#young.get(text) ?? this.#promote(text);
  }

  #promote(text: string): TextEntry {
    const entry = this.#old.get(text) ?? this.#create(text);
    if (text.length > longestKept) return entry;
    if (this.#young.size >= generation) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(text, entry);
    return entry;
  }

  #create(text: string): TextEntry {
    return {
      ...classify(text),
      text,
      name: `tenantry_${this.#instance}_${this.#next++}`,
      uses: 0,
      skewed: this.#skewed?.test(text) ?? false,
      outside: false,
      misses: false,
      sharedRuns: 0,
      overruns: 0,
      fingerprint: undefined,
    };
  }
}
