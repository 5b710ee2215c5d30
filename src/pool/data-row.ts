import type { FieldDescription } from './pg-internals.ts';

declare global {
  interface Buffer {
    /** `toString` without its checks, which take longer than reading a short value. */
    latin1Slice(start: number, end: number): string;
    utf8Slice(start: number, end: number): string;
  }
}

/** The values of a DataRow as pg's parser hands them out: text, or null. */
export function valuesOf(bytes: Buffer, at: number): (string | null)[] {
  const count = bytes.readUInt16BE(at);
  const values: (string | null)[] = [];
  let next = at + 2;
  for (let i = 0; i < count; i++) {
    const length = bytes.readInt32BE(next);
    next += 4;
    values.push(length < 0 ? null : bytes.utf8Slice(next, next + length));
    if (length > 0) next += length;
  }
  return values;
}

/** A DataRow as an object, like pg's `parseRow`: the last of several columns with one name wins. */
export function readRow(
  bytes: Buffer,
  at: number,
  fields: readonly FieldDescription[],
  parsers: readonly ((value: string) => unknown)[],
  emptyRow: object,
): object {
  const row: Record<string, unknown> = { ...emptyRow };
  const count = bytes.readUInt16BE(at);
  let next = at + 2;
  for (let i = 0; i < count; i++) {
    const length = bytes.readInt32BE(next);
    next += 4;
    const { name } = fields[i] as FieldDescription;
    if (length < 0) row[name] = null;
    else {
      row[name] = (parsers[i] as (value: string) => unknown)(bytes.utf8Slice(next, next + length));
      next += length;
    }
  }
  return row;
}
