/** A token of SQL text. Comments and white space are left out. */
export interface SqlToken {
  readonly type: 'word' | 'quoted' | 'string' | 'number' | 'parameter' | 'punctuation';
  readonly start: number;
  readonly end: number;
}

const wordStart = /[A-Za-z_\u0080-\uffff]/;
const wordPart = /[A-Za-z0-9_$\u0080-\uffff]/;
const dollarTag = /\$(?:[A-Za-z_\u0080-\uffff][A-Za-z0-9_\u0080-\uffff]*)?\$/y;
const numberText = /\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?/y;

/**
 * Splits SQL text the way PostgreSQL's scanner does (documentation, "Lexical Structure"): nested comments,
 * escape strings, dollar quotes. Never throws: unfinished text ends its last token.
 */
export function sqlTokens(text: string): SqlToken[] {
  const tokens: SqlToken[] = [];
  const length = text.length;
  let at = 0;
  const push = (type: SqlToken['type'], end: number): void => {
    tokens.push({ type, start: at, end });
    at = end;
  };
  while (at < length) {
    const char = text.charAt(at);
    const next = text.charAt(at + 1);
    if (char === ' ' || char === '\n' || char === '\t' || char === '\r' || char === '\f' || char === '\v') at++;
    else if (char === '-' && next === '-') at = lineEnd(text, at);
    else if (char === '/' && next === '*') at = commentEnd(text, at);
    else if (char === "'") push('string', quotedEnd(text, at, "'", false));
    else if (char === '"') push('quoted', quotedEnd(text, at, '"', false));
    else if ((char === 'e' || char === 'E') && next === "'") push('string', quotedEnd(text, at + 1, "'", true));
    else if (/[bBxXnN]/.test(char) && next === "'") push('string', quotedEnd(text, at + 1, "'", false));
    else if (/[uU]/.test(char) && next === '&' && /['"]/.test(text.charAt(at + 2))) {
      const quote = text.charAt(at + 2);
      push(quote === "'" ? 'string' : 'quoted', quotedEnd(text, at + 2, quote, false));
    } else if (char === '$') push(...dollarToken(text, at));
    else if (wordStart.test(char)) push('word', wordEnd(text, at));
    else if (isDigit(char) || (char === '.' && isDigit(next))) push('number', numberEnd(text, at));
    else push('punctuation', at + 1);
  }
  return tokens;
}

/** The text of a bare word in lower case, else an empty string. */
export function wordOf(text: string, token: SqlToken | undefined): string {
  return token?.type === 'word' ? text.slice(token.start, token.end).toLowerCase() : '';
}

function isDigit(char: string): boolean {
  return char >= '0' && char <= '9';
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end === -1 ? text.length : end + 1;
}

function commentEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    if (text.startsWith('/*', at)) {
      depth++;
      at++;
    } else if (text.startsWith('*/', at)) {
      depth--;
      at++;
      if (depth === 0) return at + 1;
    }
  }
  return text.length;
}

function quotedEnd(text: string, open: number, quote: string, backslash: boolean): number {
  for (let at = open + 1; at < text.length; at++) {
    const char = text.charAt(at);
    if (backslash && char === '\\') at++;
    else if (char === quote) {
      if (text.charAt(at + 1) !== quote) return at + 1;
      at++;
    }
  }
  return text.length;
}

function wordEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && wordPart.test(text.charAt(at))) at++;
  return at;
}

function numberEnd(text: string, from: number): number {
  numberText.lastIndex = from;
  numberText.test(text);
  return Math.max(numberText.lastIndex, from + 1);
}

function dollarToken(text: string, from: number): [SqlToken['type'], number] {
  let at = from + 1;
  while (at < text.length && isDigit(text.charAt(at))) at++;
  if (at > from + 1) return ['parameter', at];
  dollarTag.lastIndex = from;
  if (!dollarTag.test(text)) return ['punctuation', from + 1];
  const tag = text.slice(from, dollarTag.lastIndex);
  const close = text.indexOf(tag, dollarTag.lastIndex);
  return ['string', close === -1 ? text.length : close + tag.length];
}
