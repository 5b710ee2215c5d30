import type { SqlToken } from './sql-tokens.ts';
import { sqlTokens } from './sql-tokens.ts';

/**
 * A text without what changes from one use to the next: literals and parameters become `?`, lists of them `(?)`,
 * comments go, white space is one blank, words are in lower case. Two texts of the same shape have the same
 * fingerprint; it holds no value of anybody.
 */
export function fingerprint(text: string): string {
  const parts: string[] = [];
  for (const token of sqlTokens(text)) appendPart(parts, partOf(text, token));
  while (parts.at(-1) === ';') parts.pop();
  return joinParts(parts);
}

/** The fingerprint of a text of a pool, found out once. */
export function fingerprintOf(entry: { readonly text: string; fingerprint: string | undefined }): string {
  return (entry.fingerprint ??= fingerprint(entry.text));
}

function partOf(text: string, token: SqlToken): string {
  if (token.type === 'string' || token.type === 'number' || token.type === 'parameter') return '?';
  const part = text.slice(token.start, token.end);
  return token.type === 'word' ? part.toLowerCase() : part;
}

const beforeSign = /^(?:[(,=<>*/]|between|and|or|values|select|when|then|else|limit|offset|returning)$/;

/** Appends a part; `?, ?` becomes `?`, `(?), (?)` becomes `(?)`, and a signed number `?`. */
function appendPart(parts: string[], part: string): void {
  if (part === '?') {
    const signed = parts.at(-1) === '-' || parts.at(-1) === '+';
    if (signed && beforeSign.test(parts.at(-2) ?? '')) parts.pop();
    if (parts.at(-1) === ',' && parts.at(-2) === '?') {
      parts.pop();
      return;
    }
  }
  parts.push(part);
  if (part === ')' && parts.slice(-7).join('') === '(?),(?)') parts.length -= 4;
}

const tightBefore = new Set([',', ')', ';', '.', '::', ']']);
const tightAfter = new Set(['(', '.', '[']);

function joinParts(parts: readonly string[]): string {
  let joined = '';
  let previous = '';
  for (const part of parts) {
    const tight =
      joined === '' ||
      tightBefore.has(part) ||
      tightAfter.has(previous) ||
      (part === '(' && /^[a-z_]\w*$/.test(previous) && !spacedBeforeParenthesis.has(previous)) ||
      (isOperator(part) && isOperator(previous)) ||
      part === ':' ||
      previous === ':' ||
      part === '[';
    joined += tight ? part : ` ${part}`;
    previous = part;
  }
  return joined;
}

const spacedBeforeParenthesis = new Set([
  'in',
  'values',
  'and',
  'or',
  'not',
  'where',
  'on',
  'as',
  'from',
  'select',
  'any',
  'exists',
  'over',
  'by',
  'when',
  'then',
  'else',
  'using',
  'with',
  'returning',
  'into',
  'set',
  'join',
  'union',
  'all',
  'conflict',
  'lateral',
]);

function isOperator(part: string): boolean {
  return part.length === 1 && '+-*/<>=~!@#%^&|`'.includes(part);
}
