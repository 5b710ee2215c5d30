import { AsyncResource } from 'node:async_hooks';
import pg from 'pg';
import type { QueryConfig, Settle } from './query.ts';
import type { Submittable } from './submittable.ts';
import { isSubmittable } from './submittable.ts';

type Callback = (error: Error | null, result?: unknown) => void;

/** What a caller of `query(…)` asked for, whichever of pg's call shapes was used. */
export type QueryRequest =
  | { readonly submittable: Submittable }
  | { readonly rare: Submittable; readonly callback: Callback | undefined }
  | { readonly config: QueryConfig; readonly callback: Callback | undefined };

/** Options that only pg's own query object knows how to serve. */
type RareOptions = {
  readonly rows?: unknown;
  readonly portal?: unknown;
  readonly binary?: unknown;
  readonly callback?: unknown;
};

export function queryRequest(config: unknown, values?: unknown, callback?: unknown): QueryRequest {
  if (config === null || config === undefined) throw new TypeError('Client was passed a null or undefined query');
  if (isSubmittable(config)) return { submittable: config };
  const given = typeof values === 'function' ? values : (callback ?? (config as RareOptions).callback);
  if (given !== undefined && typeof given !== 'function') throw new TypeError('callback is not a function');
  const bound =
    given === undefined ? undefined : (AsyncResource.bind(given as (...args: unknown[]) => void) as Callback);
  const list = typeof values === 'function' || !values ? undefined : (values as readonly unknown[]);
  if (typeof config === 'string') return { config: { text: config, values: list }, callback: bound };
  if (isRare(config as QueryConfig & RareOptions)) {
    const rare = new pg.Query(config as pg.QueryConfig, list as never) as unknown as Submittable;
    return { rare, callback: bound };
  }
  return {
    config: list === undefined ? (config as QueryConfig) : withValues(config as QueryConfig, list),
    callback: bound,
  };
}

/** Runs `start` and gives what pg gives: nothing when there is a callback, else a promise. */
export function settleWith(
  callback: Callback | undefined,
  start: (settle: Settle) => void,
): Promise<unknown> | undefined {
  if (callback !== undefined) {
    start(callback);
    return undefined;
  }
  return new Promise((resolve, reject) => {
    start((error, result) => (error === null ? resolve(result) : reject(error)));
  }).catch(rethrowFromCaller);
}

/** A stack that leads to the caller instead of the socket: taken where the caller awaits, as pg does. */
function rethrowFromCaller(error: Error): never {
  Error.captureStackTrace(error);
  throw error;
}

function isRare(config: QueryConfig & RareOptions): boolean {
  return typeof config.text !== 'string' || Boolean(config.rows || config.portal || config.binary);
}

/** Only the known fields: configurations may carry others that must not be copied. */
function withValues(config: QueryConfig, values: readonly unknown[]): QueryConfig {
  const { text, name, types, rowMode, query_timeout, naming, signal } = config;
  return { text, values, name, types, rowMode, query_timeout, naming, signal };
}
