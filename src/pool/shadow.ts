/** SQLSTATE of the notice that tenantry.shadow_miss() raises on the first miss of a transaction. */
const shadowState = '01T01';
const shadowMessage = /^tenantry shadow (.+) (\w)$/;

/** The letters of tenantry.shadow_miss(); each counts in a setting of its own. */
const operations = ['r', 'i', 'u', 'w', 'd'] as const;

/** Reads the counters of a transaction: behind a statement that is known to miss, in the same write. */
export const countersName = 'tenantry_misses';
export const countersText = `select ${operations.map((op) => `current_setting('app.miss_${op}', true)`).join(', ')}`;

export interface NotedMiss {
  readonly table: string;
  readonly operation: string;
}

/** Rows missed; undefined: at least one, the number is not known. */
export type CountedMiss = NotedMiss & { readonly rows: number | undefined };

export type MissCounts = Readonly<Record<string, number>>;

/** The miss that a notice tells of, if it tells of one. */
export function missOf(notice: { readonly code?: string; readonly message?: string }): NotedMiss | undefined {
  if (notice.code !== shadowState) return undefined;
  const [, table, operation] = shadowMessage.exec(notice.message ?? '') ?? [];
  return table === undefined || operation === undefined ? undefined : { table, operation };
}

/** The answer of `countersText`. */
export function countsOf(fields: readonly (string | null)[]): MissCounts {
  return Object.fromEntries(operations.map((op, i) => [op, Number(fields[i] || 0)]));
}

/**
 * What one transaction has missed so far. Each table and operation is noticed once per transaction, and counted per
 * operation: later statements of the transaction are told apart by how far the counters moved.
 */
export class MissLedger {
  readonly noted: NotedMiss[] = [];
  #counts: MissCounts = {};

  /** Rows per noted table and operation since the last call. */
  since(noticed: readonly NotedMiss[], counts: MissCounts | undefined, text: string): CountedMiss[] {
    this.noted.push(...noticed);
    if (counts === undefined) return noticed.map((miss) => ({ ...miss, rows: undefined }));
    const found: CountedMiss[] = [];
    for (const operation of operations) {
      // a rolled-back savepoint takes its counts back
      const rows = Math.max(0, (counts[operation] ?? 0) - (this.#counts[operation] ?? 0));
      const now = noticed.filter((miss) => miss.operation === operation);
      if (now.length === 0 && rows > 0) {
        const earlier = this.noted.filter((miss) => miss.operation === operation);
        const named = earlier.find(({ table }) => text.includes(table.slice(table.indexOf('.') + 1))) ?? earlier[0];
        if (named !== undefined) now.push(named);
      }
      // the counter is the operation's: with several tables the first one carries the number
      now.forEach((miss, i) => found.push({ ...miss, rows: i === 0 && rows > 0 ? rows : undefined }));
    }
    this.#counts = counts;
    return found;
  }
}
