import type { SqlToken } from './sql-tokens.ts';
import { sqlTokens, wordOf } from './sql-tokens.ts';

/**
 * How a text must be sent:
 * - `query`: one SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES, TABLE or WITH
 * - `begin`: exactly one BEGIN or START TRANSACTION; the next statement carries the context
 * - `control`: ends or divides a transaction; needs no context, and must work when the transaction has failed
 * - `session`: SET, SHOW, LISTEN and the like: touches no row
 * - `outside`: cannot run inside a transaction block (VACUUM, CREATE INDEX CONCURRENTLY)
 * - `call`: may commit inside, which would drop the context half-way
 * - `copy`: reads or writes the socket itself
 * - `several`: more than one statement
 * - `other`: DDL, DO, EXPLAIN, cursors: sent as a query, never named, never shared
 */
export type StatementKind =
  | 'query'
  | 'begin'
  | 'control'
  | 'session'
  | 'outside'
  | 'call'
  | 'copy'
  | 'several'
  | 'other'
  | 'empty';

/** What a statement would leave on the connection for whoever comes next. */
export type Leftover =
  | 'setting'
  | 'temporary table'
  | 'held cursor'
  | 'listener'
  | 'advisory lock'
  | 'prepared statement'
  | 'library';

export interface StatementClass {
  readonly kind: StatementKind;
  readonly leftover: Leftover | undefined;
  /** Copies in: without a stream the server would wait for data that never comes. */
  readonly copiesFromClient: boolean;
}

const queryWords = new Set(['select', 'insert', 'update', 'delete', 'merge', 'values', 'table', 'with']);
const controlWords = new Set(['commit', 'end', 'rollback', 'abort', 'savepoint', 'release']);
const sessionWords = new Set([
  'set',
  'reset',
  'show',
  'listen',
  'unlisten',
  'discard',
  'deallocate',
  'load',
  'close',
  'checkpoint',
]);

/** Classifies a text. Slow (it scans the text): keep the answer by text. */
export function classify(text: string): StatementClass {
  const statements = splitStatements(text, sqlTokens(text));
  const [first] = statements;
  if (first === undefined) return { kind: 'empty', leftover: undefined, copiesFromClient: false };
  const leftover = statements.map((tokens) => leftoverOf(text, tokens)).find((found) => found !== undefined);
  if (statements.length > 1) return { kind: 'several', leftover, copiesFromClient: false };
  const words = first.map((token) => wordOf(text, token));
  return { kind: kindOf(text, first, words), leftover, copiesFromClient: isCopyFromClient(words) };
}

function splitStatements(text: string, tokens: readonly SqlToken[]): SqlToken[][] {
  const statements: SqlToken[][] = [];
  let current: SqlToken[] = [];
  let depth = 0;
  for (const token of tokens) {
    const char = token.type === 'punctuation' ? text.charAt(token.start) : '';
    if (char === '(') depth++;
    else if (char === ')') depth--;
    if (char === ';' && depth <= 0) {
      if (current.length > 0) statements.push(current);
      current = [];
    } else current.push(token);
  }
  if (current.length > 0) statements.push(current);
  return statements;
}

function kindOf(text: string, tokens: readonly SqlToken[], words: readonly string[]): StatementKind {
  const first = words[0] ?? '';
  const second = words[1] ?? '';
  if (first === 'begin' || (first === 'start' && second === 'transaction')) return 'begin';
  if (controlWords.has(first) || (first === 'prepare' && second === 'transaction')) return 'control';
  if (sessionWords.has(first)) return 'session';
  if (isOutside(first, second, words)) return 'outside';
  if (first === 'call') return 'call';
  if (first === 'copy') return 'copy';
  if (queryWords.has(first)) return 'query';
  // `(select …) union (select …)` opens with a parenthesis
  const firstWord = words.find((word) => word !== '');
  const opens = tokens[0];
  if (opens !== undefined && text.charAt(opens.start) === '(' && queryWords.has(firstWord ?? '')) return 'query';
  return 'other';
}

function isOutside(first: string, second: string, words: readonly string[]): boolean {
  if (first === 'vacuum') return true;
  if (first === 'alter') return second === 'system';
  if (first === 'cluster') return words.length === 1;
  if (first === 'create' || first === 'drop') {
    const index = words.indexOf('index', 1);
    const concurrently = index <= 2 && words[index + 1] === 'concurrently'; // not: columns of CREATE TABLE … AS
    return second === 'database' || second === 'tablespace' || (index > 0 && concurrently);
  }
  return first === 'reindex' && (words.includes('concurrently') || second === 'database' || second === 'system');
}

function isCopyFromClient(words: readonly string[]): boolean {
  return words[0] === 'copy' && words.includes('from') && words.includes('stdin');
}

function leftoverOf(text: string, tokens: readonly SqlToken[]): Leftover | undefined {
  const words = tokens.map((token) => wordOf(text, token));
  const first = words[0] ?? '';
  const second = words[1] ?? '';
  if (first === 'set') return ['local', 'transaction', 'constraints'].includes(second) ? undefined : 'setting';
  if (first === 'reset') return 'setting';
  if (first === 'listen') return 'listener';
  if (first === 'load') return 'library';
  if (first === 'prepare' && second !== 'transaction') return 'prepared statement';
  if (first === 'declare' && words.includes('hold') && !words.includes('without')) return 'held cursor';
  return leftoverInside(text.slice(tokens[0]?.start, tokens.at(-1)?.end), first, words);
}

const localSetConfig = /set_config\s*\((?:[^()']|'(?:[^']|'')*'|\((?:[^()']|'(?:[^']|'')*')*\))*,\s*true\s*\)/gi;

function leftoverInside(text: string, first: string, words: readonly string[]): Leftover | undefined {
  if (/set_config/i.test(text) && /set_config/i.test(text.replace(localSetConfig, ''))) return 'setting';
  if (/pg_(?:try_)?advisory_lock/i.test(text)) return 'advisory lock';
  // an ORM quotes its names: "pg_temp"."cart"
  if (words.includes('temp') || words.includes('temporary') || /\bpg_temp/i.test(text)) {
    return /on\s+commit\s+drop/i.test(text) ? undefined : 'temporary table';
  }
  // The body of a DO block is a string: what it does is told from its words, rather too often than too seldom.
  if (first === 'do') {
    if (/\b(?:temp|temporary|pg_temp)\b/i.test(text)) return 'temporary table';
    if (/\b(?:set|reset)\b/i.test(text)) return 'setting';
    if (/\blisten\b/i.test(text)) return 'listener';
  }
  return undefined;
}
