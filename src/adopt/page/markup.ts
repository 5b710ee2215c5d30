/** Text that is markup already. Made by {@link markup} alone, so that nothing else gets into a page unescaped. */
export interface Markup {
  readonly markup: string;
}

type Part = string | number | Markup | undefined | readonly Part[];

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** A template for HTML and SVG: what is put in is escaped, for text and for quoted attributes alike. */
export function markup(texts: TemplateStringsArray, ...parts: readonly Part[]): Markup {
  return { markup: texts.map((text, i) => text + (i < parts.length ? write(parts[i]) : '')).join('') };
}

function write(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'number') return String(part);
  if (typeof part === 'string') return escape(part);
  return 'markup' in part ? part.markup : part.map(write).join('');
}

function escape(text: string): string {
  // XML knows no control characters: a name that holds one shows a replacement
  return text
    .replace(/[\p{Cc}\uFFFE\uFFFF]/gu, (c) => (/\s/.test(c) ? ' ' : '\uFFFD'))
    .replace(/[&<>"']/g, (c) => entities[c] ?? c);
}
