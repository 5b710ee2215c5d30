import { AsyncResource } from 'node:async_hooks';
import pg from 'pg';
import type { ContextScope } from '../context/scope.ts';
import { ident } from '../database/sql.ts';
import type { TenantClient } from './client.ts';
import { decide } from './decide.ts';
import { contextChanged } from './refusals.ts';
import type { ConnectionInternals, Submission } from './pg-internals.ts';
import type { TextEntry } from './texts.ts';
import { WireWriter } from './wire.ts';

/** A query object of pg or one of its companions: pg.Query, pg-cursor, pg-query-stream, pg-copy-streams. */
export interface Submittable extends Submission {
  text?: unknown;
  values?: unknown;
  name?: string;
  queryMode?: string;
  readonly cursor?: { readonly text?: unknown };
  read?: (rows: number, callback?: (...args: unknown[]) => void) => unknown;
  readable?: boolean;
}

const scopes = new WeakMap<object, { readonly scope: ContextScope | undefined }>();
const given = new WeakSet<object>();

export function isSubmittable(config: unknown): config is Submittable {
  return typeof (config as { submit?: unknown }).submit === 'function';
}

/** Remembers the context in which a query object was given to the pool: the client sees it only later. */
export function tagScope(query: Submittable, scope: ContextScope | undefined): void {
  scopes.set(query, { scope });
}

export function taggedScope(query: Submittable): { readonly scope: ContextScope | undefined } | undefined {
  return scopes.get(query);
}

/** False when the object was given to a connection before: it still carries the context, and the rows, of that time. */
export function takeOnce(query: Submittable): boolean {
  if (given.has(query)) return false;
  given.add(query);
  return true;
}

/** Its text; for one that names a statement prepared before, or whose text cannot be known, an EXECUTE. */
export function textOf(query: Submittable): string {
  const text = query.text ?? query.cursor?.text;
  if (typeof text === 'string' && (text !== '' || query.name === undefined)) return text;
  return `execute ${ident(query.name ?? 'unknown')}`;
}

/** Makes a query object carry the context in front of whatever it writes when it is submitted. */
export function scopeSubmittable(
  client: TenantClient,
  query: Submittable,
  entry: TextEntry,
  scope: ContextScope | undefined,
): void {
  const submit = query.submit.bind(query);
  query.submit = (connection) => {
    const decision =
      scope === undefined ? 'plain' : decide(client.statusAtSubmit, entry.kind, scope.identity, client.transaction);
    if (decision === 'changed') return contextChanged();
    client.leaves(entry);
    if (decision === 'plain' || scope === undefined) return submit(connection);
    // an error that is returned after the prefix was written would leave its answers to the next query
    const invalid = invalidQuery(query, connection);
    if (invalid !== undefined) return invalid;
    return submitPrefixed(client, query, entry, scope, () => submit(connection));
  };
  // pg-cursor calls back from the socket, which knows no caller
  const { read } = query;
  if (typeof read === 'function' && query.readable === undefined) {
    query.read = (rows, callback) => read.call(query, rows, callback && AsyncResource.bind(callback));
  }
}

function submitPrefixed(
  client: TenantClient,
  query: Submittable,
  entry: TextEntry,
  scope: ContextScope,
  submit: () => Error | null | undefined | void,
): Error | null | undefined | void {
  const { stream } = client.connection;
  client.contextSent(scope);
  if (entry.kind === 'several' && query instanceof pg.Query) {
    const prelude = client.settings.prelude(scope);
    const { text } = query as unknown as { text: string };
    query.text = prelude.simple(scope) + text;
    client.skip = prelude.simpleCount(scope);
    const refused = submit();
    query.text = text;
    return refused;
  }
  if (query instanceof pg.Query) (query as Submittable).queryMode = 'extended';
  const writer = new WireWriter(256);
  client.writePrefix(writer, scope);
  client.skip = 1;
  stream.cork();
  stream.write(writer.take());
  try {
    return submit();
  } finally {
    stream.uncork();
  }
}

function invalidQuery(query: Submittable, connection: ConnectionInternals): Error | undefined {
  if (!(query instanceof pg.Query)) return undefined;
  const { text, name, values } = query as Submittable;
  if (typeof text !== 'string' && typeof name !== 'string') {
    return new Error('A query must have either text or a name. Supplying neither is unsupported.');
  }
  const previous =
    name === undefined ? undefined : (connection.parsedStatements[name] ?? connection.submittedNamedStatements[name]);
  if (text && previous && text !== previous) {
    return new Error(`Prepared statements must be unique - '${name}' was used for a different statement`);
  }
  if (values && !Array.isArray(values)) return new Error('Query values must be an array');
  return undefined;
}
