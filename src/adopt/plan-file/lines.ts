import { type Document, type LineCounter, type parseDocument, type Scalar, YAMLMap } from 'yaml';
import { TenantryError } from '../../errors.ts';

/** The line where a person looks for a field; that of what it stands in where it is not there. */
export function lineOfPath(
  document: Document.Parsed | ReturnType<typeof parseDocument>,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number {
  for (let length = path.length; length > 0; length -= 1) {
    const part = path.slice(0, length);
    const parent = document.getIn(part.slice(0, -1), true);
    const last = part.at(-1);
    // the key stands where a person looks; the value of a map begins a line below it
    const pair =
      parent instanceof YAMLMap
        ? parent.items.find((item) => String((item.key as Scalar).value) === String(last))
        : undefined;
    const node = pair === undefined ? document.getIn(part, true) : pair.key;
    const range = (node as Scalar | undefined)?.range;
    if (range !== undefined && range !== null) return lines.linePos(range[0]).line;
  }
  return 1;
}

export function invalid(line: number, message: string): TenantryError {
  return new TenantryError('TNT_PLAN_INVALID', `Line ${line} of the plan: ${message}.`, { details: { line } });
}

/** A refusal that names its field, with the field's line. */
export function withLine(error: unknown, lineOf: (path: readonly PropertyKey[]) => number): unknown {
  if (!(error instanceof TenantryError) || error.code !== 'TNT_PLAN_INVALID') return error;
  const path = (error.details as { path?: unknown } | undefined)?.path;
  return Array.isArray(path) ? invalid(lineOf(path as string[]), error.message.replace(/\.$/, '')) : error;
}
