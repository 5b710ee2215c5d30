import { z } from 'zod';
import { TenantryError } from '../errors.ts';
import { isText } from './input.ts';

/** One page of a list. */
export interface Page<T> {
  readonly items: T[];
  /** Hand it back as `cursor` for the next page; null at the end. Opaque: its content may change. */
  readonly nextCursor: string | null;
}

export const defaultLimit = 50;
export const maxLimit = 200;

/** The two fields that every list takes. */
export const pageFields = {
  limit: z.int().min(1).max(maxLimit).default(defaultLimit),
  cursor: z.string().max(4096).optional(),
};

const cursorContent = z.tuple([z.string(), z.string().max(2000).refine(isText), z.guid()]);

/**
 * Where a page ended: the list it belongs to, the sort value of its last row, and that row's id. Not signed: a changed
 * cursor moves the reader within what the policies show and nowhere else.
 */
export function encodeCursor(list: string, value: string, id: string): string {
  return Buffer.from(JSON.stringify([list, value, id])).toString('base64url');
}

/** @throws TNT_CURSOR_INVALID when it is damaged or belongs to another list or order */
export function decodeCursor(list: string, cursor: string): { value: string; id: string } {
  const content = cursorContent.safeParse(parsed(cursor));
  if (!content.success) throw new TenantryError('TNT_CURSOR_INVALID', 'The cursor is damaged.');
  const [of, value, id] = content.data;
  if (of !== list) throw new TenantryError('TNT_CURSOR_INVALID', 'The cursor belongs to another list or order.');
  return { value, id };
}

/** @throws TNT_CURSOR_INVALID also when the sort value is no instant */
export function decodeTimeCursor(list: string, cursor: string): { value: string; id: string } {
  const decoded = decodeCursor(list, cursor);
  if (!isInstant(decoded.value)) throw new TenantryError('TNT_CURSOR_INVALID', 'The cursor is damaged.');
  return decoded;
}

/** As instantText() writes it, and a day that exists. */
function isInstant(text: string): boolean {
  if (!/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00$/.test(text)) return false;
  const seconds = text.slice(0, 19).replace(' ', 'T');
  const date = new Date(`${seconds}Z`);
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(seconds);
}

function parsed(cursor: string): unknown {
  if (!/^[\w-]+$/.test(cursor)) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Cuts the one row too many that tells whether there is a next page. */
export function pageOf<T>(rows: T[], limit: number, cursorOf: (last: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}
