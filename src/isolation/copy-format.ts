import { TenantryError } from '../errors.ts';

export interface CopyFormat {
  /** As in COPY: tab-separated with backslashes, or CSV. Default `text`. */
  readonly format?: 'text' | 'csv';
  /** Default: a tab for `text`, a comma for `csv`. */
  readonly delimiter?: string;
  /** CSV: the first line names columns and is left out. */
  readonly header?: boolean;
}

type Field = string | null;

/** Splits the data of a COPY into rows of text fields (PostgreSQL docs, COPY, "File Formats"). */
export async function* readCopyRows(
  source: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
  { format = 'text', delimiter = format === 'csv' ? ',' : '\t', header = false }: CopyFormat = {},
): AsyncGenerator<Field[]> {
  const split = format === 'csv' ? splitCsv(delimiter) : splitText(delimiter);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let skip = header;
  for await (const chunk of source) {
    const text = typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    for (const row of split(text)) {
      if (!skip) yield row;
      skip = false;
    }
  }
  for (const row of split(undefined)) if (!skip) yield row;
}

/** Takes a piece of text and gives the rows that it completes; undefined is the end. */
type Splitter = (text: string | undefined) => Iterable<Field[]>;

function splitText(delimiter: string): Splitter {
  let rest = '';
  let over = false;
  return function* (text) {
    rest += text ?? (rest === '' || rest.endsWith('\n') ? '' : '\n');
    let start = 0;
    for (let end = rest.indexOf('\n'); end >= 0 && !over; end = rest.indexOf('\n', start)) {
      const line = rest.slice(start, end).replace(/\r$/, '');
      start = end + 1;
      if (line === '\\.') over = true;
      else yield line.split(delimiter).map(unescapeText);
    }
    rest = over ? '' : rest.slice(start);
  };
}

const escapes: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

function unescapeText(field: string): Field {
  if (field === '\\N') return null;
  if (!field.includes('\\')) return field;
  return field.replace(
    /\\(?:([0-7]{1,3})|x([0-9a-f]{1,2})|([\s\S]))/gi,
    (_, octal?: string, hex?: string, char = '') => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      if (hex !== undefined) return String.fromCharCode(Number.parseInt(hex, 16));
      return escapes[char as string] ?? (char as string);
    },
  );
}

function splitCsv(delimiter: string): Splitter {
  let row: Field[] = [];
  let field = '';
  let wasQuoted = false;
  let state: 'plain' | 'quoted' | 'quote in quoted' = 'plain';
  const endField = (): void => {
    row.push(field === '' && !wasQuoted ? null : field);
    field = '';
    wasQuoted = false;
    state = 'plain';
  };
  const endRow = (): Field[] => {
    if (!wasQuoted && field.endsWith('\r')) field = field.slice(0, -1);
    endField();
    const done = row;
    row = [];
    return done;
  };
  return function* (text) {
    if (text === undefined) {
      if (state === 'quoted') throw new TenantryError('TNT_INPUT_INVALID', 'The CSV data ends inside a quoted field.');
      if (row.length > 0 || field !== '' || wasQuoted) yield endRow();
      return;
    }
    for (const char of text) {
      if (state === 'quoted') {
        if (char === '"') state = 'quote in quoted';
        else field += char;
      } else if (char === '"' && state === 'quote in quoted') {
        field += '"';
        state = 'quoted';
      } else if (char === '"') {
        wasQuoted = true;
        state = 'quoted';
      } else if (char === delimiter) endField();
      else if (char === '\n') yield endRow();
      else if (char !== '\r' || state === 'plain') field += char;
    }
  };
}
