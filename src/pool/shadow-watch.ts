import type { Context } from '../context/types.ts';
import { callSiteOf } from './call-site.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { BackendMessage, Submission } from './pg-internals.ts';
import { TenantQuery } from './query.ts';
import type { ShadowMiss } from './settings.ts';
import type { CountedMiss, MissCounts } from './shadow.ts';
import { MissLedger, missOf } from './shadow.ts';
import { taggedScope, textOf } from './submittable.ts';
import type { TextEntry, TextRegistry } from './texts.ts';

interface Origin {
  readonly entry: TextEntry;
  readonly values?: readonly unknown[] | undefined;
  readonly context: Context | undefined;
  readonly site?: Error | undefined;
}

/** Listens on one connection for shadow misses. Costs nothing on the wire until a statement misses. */
export class ShadowWatch {
  readonly #hook: (miss: ShadowMiss) => void;
  readonly #texts: TextRegistry;
  /** Of the open transaction, once something in it has missed. */
  #ledger: MissLedger | undefined = undefined;

  constructor(hook: (miss: ShadowMiss) => void, texts: TextRegistry) {
    this.#hook = hook;
    this.#texts = texts;
  }

  /** Takes a notice that tells of a miss; every other goes on to the application. */
  takes(notice: BackendMessage, active: Submission | null | undefined): boolean {
    const miss = missOf(notice);
    if (miss === undefined) return false;
    if (active instanceof TenantQuery) active.noticed.push(miss);
    else if (active) {
      const entry = this.#texts.entry(textOf(active));
      this.#report([{ ...miss, rows: undefined }], { entry, context: taggedScope(active)?.scope?.context });
    }
    return true;
  }

  /** Whether the counters are read behind a statement: it has missed before, or its transaction has. */
  counts(entry: TextEntry): boolean {
    return (entry.misses || this.#ledger !== undefined) && (entry.kind === 'query' || entry.kind === 'other');
  }

  settled(query: TenantQuery, counts: MissCounts | undefined, inTransaction: boolean): void {
    if (query.noticed.length > 0 || counts !== undefined) {
      this.#ledger ??= new MissLedger();
      const { entry, config, scope, site } = query;
      const misses = this.#ledger.since(query.noticed.splice(0), counts, entry.text);
      this.#report(misses, { entry, values: config.values, context: scope?.context, site });
    }
    if (!inTransaction) this.#ledger = undefined;
  }

  /** The transaction has ended. */
  forget(): void {
    this.#ledger = undefined;
  }

  #report(misses: readonly CountedMiss[], { entry, values, context, site }: Origin): void {
    if (misses.length === 0) return;
    entry.misses = true;
    const about = {
      fingerprint: fingerprintOf(entry),
      statement: entry.text,
      values,
      callSite: callSiteOf(site),
      context,
    };
    // apart from the query: a hook that throws is an error of the application, not of the connection
    for (const miss of misses) queueMicrotask(() => this.#hook({ ...miss, ...about }));
  }
}
