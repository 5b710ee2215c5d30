const suffixes = new Set(['id', 'uuid', 'guid', 'key', 'code', 'no', 'number', 'num', 'ref', 'fk', 'pk']);
const prefixes = new Set(['id', 'fk', 'tbl', 'tb']);
const irregular: Readonly<Record<string, string>> = { people: 'person', children: 'child', men: 'man', data: 'datum' };

/** `orderItems`, `order_items` and `ORDER ITEMS` are the words order, item. */
export function wordsOf(name: string): string[] {
  return name
    .replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu}+)(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '')
    .map(singular);
}

function singular(word: string): string {
  if (irregular[word] !== undefined) return irregular[word];
  if (/[^aeiou]ies$/.test(word)) return `${word.slice(0, -3)}y`;
  if (/(s|x|z|ch|sh)es$/.test(word)) return word.slice(0, -2);
  return /[^su]s$/.test(word) ? word.slice(0, -1) : word;
}

export interface ColumnWords {
  /** What the column is named after: `order` of order_id, orderId, fk_order. */
  readonly stem: readonly string[];
  /** `id`, `code` …; null where the whole name is the stem. */
  readonly suffix: string | null;
}

/** The readings of a column's name, the likeliest first. */
export function readingsOf(column: string): ColumnWords[] {
  const words = wordsOf(column);
  const last = words.at(-1) ?? '';
  const readings: ColumnWords[] = [];
  if (words.length > 1 && suffixes.has(last)) readings.push({ stem: words.slice(0, -1), suffix: last });
  if (words.length > 1 && prefixes.has(words[0] ?? '')) readings.push({ stem: words.slice(1), suffix: 'id' });
  const joined = /^(.{3,})id$/.exec(last)?.[1];
  if (readings.length === 0 && joined !== undefined)
    readings.push({ stem: [...words.slice(0, -1), singular(joined)], suffix: 'id' });
  return [...readings, { stem: words, suffix: null }];
}

/** The words of a table's name, without what people put in front of all their tables. */
export function tableWords(table: string): string[] {
  const words = wordsOf(table);
  return words.length > 1 && prefixes.has(words[0] ?? '') ? words.slice(1) : words;
}

/** Places in a tree, for columns that say that they hold a key, and for those that need not. */
const places = new Set(['parent', 'root', 'previous', 'next', 'original', 'ancestor', 'manager', 'supervisor', 'boss']);
const relations = new Set(['report to', 'reply to', 'in reply to', 'copy of', 'child of', 'part of']);

/** A column that is named after its place in a tree. */
export function namesItself({ stem, suffix }: ColumnWords): boolean {
  const name = stem.join(' ');
  return relations.has(name) || (suffix !== null && places.has(name));
}

/** `exact`: a column named after the table. `partial`: with a role before it (billing_account_id), or the table with more (shop_orders). */
export function nameMatch(stem: readonly string[], table: readonly string[]): 'exact' | 'partial' | undefined {
  if (stem.length === 0 || table.length === 0) return undefined;
  if (stem.join(' ') === table.join(' ')) return 'exact';
  return endsWith(stem, table) || endsWith(table, stem) ? 'partial' : undefined;
}

const endsWith = (long: readonly string[], short: readonly string[]): boolean =>
  long.length > short.length && long.slice(-short.length).join(' ') === short.join(' ');
