/** The only row, or null: a missing row is no exception. */
export function first<T>(rows: readonly T[]): T | null {
  return rows[0] ?? null;
}
