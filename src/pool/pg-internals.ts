import type { EventEmitter } from 'node:events';
import pg from 'pg';

/**
 * What this package relies on inside `pg` 8 and does not find in its types. `assertDriver` proves the shape at
 * start-up, so that a driver which changed is one clear line and not a leak.
 */

/** A message of the server as pg's parser hands it out. */
export interface BackendMessage {
  readonly name: string;
  readonly text?: string;
  readonly fields?: unknown;
  readonly status?: TransactionStatus;
  readonly message?: string;
}

/** ReadyForQuery: idle, in a transaction, in a failed transaction. */
export type TransactionStatus = 'I' | 'T' | 'E';

export interface FieldDescription {
  readonly name: string;
  readonly dataTypeID: number;
  readonly format: string;
}

/** Anything in a client's queue. */
export interface Submission {
  callback?: ((error: Error | null, result?: unknown) => void) | undefined;
  submit(connection: ConnectionInternals): Error | null | undefined | void;
  handleError(error: Error, connection?: unknown): void;
  handleReadyForQuery(connection?: unknown): void;
}

/** What pg's parser asks of a socket. */
export interface DataSource {
  on(event: string, listener: (chunk: Buffer) => void): unknown;
}

export interface ConnectionInternals extends EventEmitter {
  readonly stream: NodeJS.WritableStream & {
    readonly writable: boolean;
    cork(): void;
    uncork(): void;
    destroy(error?: Error): void;
  };
  readonly parsedStatements: Record<string, string | undefined>;
  readonly submittedNamedStatements: Record<string, string | undefined>;
  /** Somebody listens to every message. */
  readonly _emitMessage: boolean;
  attachListeners(stream: DataSource): void;
  query(text: string): void;
  sync(): void;
  sendCopyFail(message: string): void;
  connect(port: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
  end(): void;
}

export interface ClientInternals {
  readonly connection: ConnectionInternals;
  readonly connectionParameters: { readonly query_timeout?: number | false };
  readonly _types: unknown;
  readonly binary: boolean;
  readonly processID: number | null;
  readonly secretKey: number | null;
  _queryQueue: Submission[];
  _sentQueryQueue: Submission[];
  _activeQuery: Submission | null | undefined;
  _txStatus: TransactionStatus | null;
  _queryable: boolean;
  _ending: boolean;
  _ended: boolean;
  _connecting: boolean;
  _poolUseCount?: number;
  readyForQuery: boolean;
  hasExecuted: boolean;
  pipeline: boolean;
  ref(): void;
  unref(): void;
  _pulseQueryQueue(): void;
  _errorAllQueries(error: Error): void;
  _handleErrorEvent(error: Error): void;
  _handleErrorMessage(message: Error): void;
}

export type IdleListener = (error: Error) => void;

export interface IdleItem<C> {
  readonly client: C;
  readonly idleListener: IdleListener;
  timeoutId: NodeJS.Timeout | undefined;
}

export interface PendingItem<C> {
  timedOut?: boolean;
  callback(error: Error | undefined, client: C | undefined, release: (error?: Error | boolean) => void): void;
}

export interface PoolInternals<C> {
  _clients: C[];
  _idle: IdleItem<C>[];
  _pendingQueue: PendingItem<C>[];
  _expired: WeakSet<object>;
  _isFull(): boolean;
  _pulseQueue(): void;
  _remove(client: C, callback?: () => void): void;
  _release(client: C, idleListener: IdleListener, error?: Error | boolean): void;
  newClient(item: PendingItem<C>): void;
}

/** pg's result object with the parts it fills while rows arrive. */
export interface PgResult {
  command: string | null;
  rowCount: number | null;
  oid: number | null;
  rows: unknown[];
  fields: readonly FieldDescription[];
  _parsers: ((value: string) => unknown)[] | undefined;
  _types: TypeParsers;
  _prebuiltEmptyResultObject: object | null;
  addFields(fields: readonly FieldDescription[]): void;
  addCommandComplete(message: BackendMessage): void;
  parseRow(fields: unknown): unknown;
}

export interface TypeParsers {
  getTypeParser(oid: number, format?: string): (value: string) => unknown;
}

interface PgModule {
  readonly Result: new (rowMode: string | undefined, types: unknown) => PgResult;
  readonly utils: { prepareValue(value: unknown): string | Buffer | null };
}

const internals = pg as unknown as PgModule;

export const PgResultClass = internals.Result;
export const prepareValue = internals.utils.prepareValue;
