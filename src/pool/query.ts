import type { ContextScope } from '../context/scope.ts';
import type { Answers } from './answers.ts';
import type { TenantClient } from './client.ts';
import { readRow, valuesOf } from './data-row.ts';
import { decide } from './decide.ts';
import type { BackendMessage, FieldDescription, PgResult, TypeParsers } from './pg-internals.ts';
import { PgResultClass } from './pg-internals.ts';
import type { PreparedStatement, Shape } from './prepared.ts';
import { callRefused, contextChanged, copyNeedsStream } from './refusals.ts';
import { retryAfter } from './retry.ts';
import type { MissCounts, NotedMiss } from './shadow.ts';
import { countsOf } from './shadow.ts';
import type { TextEntry } from './texts.ts';

/** A query as pg takes it, with what this pool adds. */
export interface QueryConfig {
  readonly text: string;
  readonly name?: string | undefined;
  readonly values?: readonly unknown[] | undefined;
  readonly types?: TypeParsers | undefined;
  readonly rowMode?: string | undefined;
  readonly query_timeout?: number | undefined;
  /** false: this statement is planned each time, whatever the pool's naming says. */
  readonly naming?: boolean | undefined;
  /** Cancels the statement on the server and gives up its connection. */
  readonly signal?: AbortSignal | undefined;
}

export type Settle = (error: Error | null, result?: unknown) => void;

/** Who lent the connection for this one query and wants it back. */
export interface Lender {
  /** @param alive the server answered to the end; false: the connection is lost or out of step */
  giveBack(client: TenantClient, alive: boolean, query: TenantQuery): void;
}

/** Each cause can come once: the context statement, the statement itself, a statement that takes no context. */
const mostRetries = 3;

type TextParser = (value: string) => unknown;

/**
 * One statement on its way: written with its context in one piece, its answers taken straight from the parser.
 * Stands in pg's queue as pg's own query does, without being an emitter.
 */
export class TenantQuery implements Answers {
  readonly entry: TextEntry;
  readonly config: QueryConfig;
  readonly scope: ContextScope | undefined;
  callback: Settle;
  client: TenantClient | undefined = undefined;
  lender: Lender | undefined = undefined;
  /** Where it was asked for; taken only while shadow misses are wanted. */
  site: Error | undefined = undefined;
  /** Shadow notices that came with its answer. */
  readonly noticed: NotedMiss[] = [];
  #counting = false;
  #answered = false;
  #counts: MissCounts | undefined = undefined;
  /** Statements in front whose answers are dropped. */
  #skip = 0;
  #prefixed = false;
  #aloneInTransaction = false;
  #attempts = 0;
  /** Its name has failed it once: a neighbour's failed preparation, or one from before an ALTER TABLE. */
  #unnamed = false;
  #parsing = false;
  #statement: PreparedStatement | undefined = undefined;
  #result: PgResult;
  #results: PgResult[] | undefined = undefined;
  /** Its rows are objects of text values: read straight from the bytes. */
  #asText = false;
  #error: Error | undefined = undefined;
  /** Length of what was put in front of the text: taken from the position of an error. */
  #offset = 0;

  constructor(entry: TextEntry, config: QueryConfig, scope: ContextScope | undefined, callback: Settle) {
    this.entry = entry;
    this.config = config;
    this.scope = scope;
    this.callback = callback;
    this.#result = new PgResultClass(config.rowMode, config.types);
  }

  submit(): Error | null {
    const client = this.client as TenantClient;
    const { entry, scope } = this;
    const status = client.statusAtSubmit;
    const decision =
      scope === undefined || (entry.outside && status === 'I')
        ? 'plain'
        : decide(status, entry.kind, scope.identity, client.transaction);
    if (decision === 'changed') return contextChanged();
    if (entry.kind === 'call' && status === 'I' && decision === 'prefix') return callRefused();
    if (entry.copiesFromClient) return copyNeedsStream();
    this.#aloneInTransaction = status === 'I';
    this.#prefixed = decision === 'prefix';
    this.#skip = 0;
    this.#offset = 0;
    this.#answered = false;
    const invalid =
      entry.kind === 'several' && !(this.config.values && this.config.values.length > 0)
        ? this.#writeSimple(client)
        : this.#writeExtended(client);
    if (invalid !== undefined) return invalid;
    if (this.#prefixed) client.contextSent(scope as ContextScope);
    client.leaves(entry);
    client.flush();
    return null;
  }

  /** Texts with several statements: only the simple protocol takes them, so the context goes in front as text. */
  #writeSimple(client: TenantClient): undefined {
    const { scope } = this;
    const { writer } = client;
    if (!this.#prefixed || scope === undefined) {
      writer.query(this.entry.text);
      return;
    }
    const prelude = client.settings.prelude(scope);
    const settings = prelude.simple(scope);
    this.#skip = prelude.simpleCount(scope);
    this.#offset = settings.length;
    writer.query(settings + this.entry.text);
  }

  #writeExtended(client: TenantClient): Error | undefined {
    const { config, scope, entry } = this;
    const { prepared, writer } = client;
    if (config.values && !Array.isArray(config.values)) return new Error('Query values must be an array');
    const name = this.#unnamed ? '' : client.statementName(this);
    const known = name === '' ? undefined : prepared.get(name);
    if (known !== undefined && known.text !== entry.text) {
      return new Error(`Prepared statements must be unique - '${name}' was used for a different statement`);
    }
    try {
      if (name !== '' && known === undefined) prepared.makeRoom();
      // in front of the context: an error there would skip the Close, and the server would keep the statement
      for (const closed of prepared.takeClosed()) writer.closeStatement(closed);
      if (this.#prefixed) {
        client.writePrefix(writer, scope as ContextScope);
        this.#skip = 1;
      }
      if (known === undefined) writer.parse(name, entry.text);
      writer.bind(name, config.values);
      if (known?.shape === undefined) writer.describe();
      else if (known.shape !== null) this.#expectKnown(known.shape);
      writer.execute();
      this.#counting = client.shadow?.counts(entry) === true;
      if (this.#counting) client.writeCounters(writer);
      writer.sync();
    } catch (error) {
      writer.discard();
      client.forgetContextStatement();
      return error as Error;
    }
    this.#parsing = known === undefined && name !== '';
    this.#statement = this.#parsing ? prepared.add(name, entry.text) : known;
    return undefined;
  }

  /** A message of the server while this query is the active one. */
  receive(message: BackendMessage): void {
    switch (message.name) {
      case 'dataRow':
        this.#values(message.fields as readonly (string | null)[]);
        break;
      case 'commandComplete':
        this.complete(message.text ?? '');
        break;
      case 'rowDescription':
        if (this.#skip === 0) this.#describe(message);
        break;
      case 'noData':
        if (this.#statement !== undefined) this.#statement.shape = null;
        break;
      case 'parseComplete':
        this.parsed();
        break;
      case 'copyInResponse':
        // a COPY FROM STDIN among several statements: nobody will bring the data, and the server would wait for ever
        this.client?.connection.sendCopyFail('No source stream defined');
        break;
      default:
        break;
    }
  }

  #describe(message: BackendMessage): void {
    const fields = message.fields as readonly FieldDescription[];
    this.#nextResult();
    const result = this.#result;
    result._types ??= (this.client as TenantClient)._types as TypeParsers;
    result.addFields(fields);
    const asText = fields.every(({ format }) => format === 'text');
    this.#asText = asText && this.config.rowMode !== 'array';
    if (this.#statement !== undefined) {
      this.#statement.shape = { fields, emptyRow: result._prebuiltEmptyResultObject as object, asText };
    }
  }

  /** What pg's `addFields` does, without building the empty row anew: that would take longer than reading a row. */
  #expectKnown({ fields, emptyRow, asText }: Shape): void {
    const result = this.#result;
    const types = (result._types ??= (this.client as TenantClient)._types as TypeParsers);
    result.fields = fields;
    // asked for each time: a parser may have been set meanwhile
    result._parsers = fields.map(({ dataTypeID, format }) => types.getTypeParser(dataTypeID, format || 'text'));
    result._prebuiltEmptyResultObject = emptyRow;
    this.#asText = asText && this.config.rowMode !== 'array';
  }

  parsed(): void {
    if (this.#skip === 0) this.#parsing = false;
  }

  row(bytes: Buffer, at: number): void {
    if (this.#skip > 0) return;
    if (!this.#asText || this.#answered) {
      this.#values(valuesOf(bytes, at));
      return;
    }
    if (this.#error !== undefined) return;
    const { rows, fields, _parsers, _prebuiltEmptyResultObject } = this.#result;
    try {
      rows.push(readRow(bytes, at, fields, _parsers as TextParser[], _prebuiltEmptyResultObject as object));
    } catch (error) {
      this.#error = error as Error;
    }
  }

  /** A row that is not read from the bytes: as an array, with binary values, or the counters of shadow misses. */
  #values(values: readonly (string | null)[]): void {
    if (this.#skip > 0) return;
    if (this.#answered) {
      this.#counts = countsOf(values);
      return;
    }
    if (this.#error !== undefined) return;
    try {
      this.#result.rows.push(this.#result.parseRow(values));
    } catch (error) {
      this.#error = error as Error;
    }
  }

  complete(tag: string): void {
    if (this.#skip > 0) {
      this.#skip--;
      return;
    }
    if (this.#answered) return;
    this.#nextResult();
    this.#result.addCommandComplete({ name: 'commandComplete', text: tag });
    this.#answered = this.#counting;
    if (this.entry.kind !== 'query') this.client?.commandCompleted(tag);
  }

  /** pg's rule: the only result by itself, several as an array. */
  #nextResult(): void {
    if (this.#result.command === null) return;
    this.#results ??= [this.#result];
    this.#result = new PgResultClass(this.config.rowMode, this.config.types);
    this.#results.push(this.#result);
  }

  /** An error of the server. A ReadyForQuery follows unless the connection ends: the caller is told then. */
  receiveError(error: Error & { position?: string; phase?: string }): void {
    this.#error ??= error;
    if (this.#offset > 0) {
      if (error.position !== undefined) error.position = String(Math.max(1, Number(error.position) - this.#offset));
    } else if (this.#skip > 0) error.phase = 'context';
    if (this.#parsing && this.#statement !== undefined) this.client?.prepared.forget(this.#statement);
  }

  /** The connection was lost, or the query could not be submitted. */
  handleError(error: Error): void {
    this.settle(this.#error ?? error, false);
  }

  handleReadyForQuery(): void {
    const { shadow, _txStatus } = this.client as TenantClient;
    shadow?.settled(this, this.#counts, _txStatus !== 'I');
    const error = this.#error;
    if (error === undefined) {
      this.settle(null, true);
      return;
    }
    const retry = retryAfter(error, { prefixed: this.#prefixed, named: this.#statement !== undefined });
    if (retry !== undefined) {
      this.#recover(retry);
      if (this.#aloneInTransaction && this.#attempts++ < mostRetries) {
        this.#error = undefined;
        this.#results = undefined;
        this.#result = new PgResultClass(this.config.rowMode, this.config.types);
        this.client?.resubmit(this);
        return;
      }
    }
    this.settle(error, true);
  }

  #recover(retry: NonNullable<ReturnType<typeof retryAfter>>): void {
    if (retry === 'context') this.client?.forgetContextStatement();
    else if (retry === 'outside') this.entry.outside = true;
    else if (this.#statement !== undefined) {
      this.client?.prepared.close(this.#statement);
      this.#unnamed = true;
    }
  }

  /** The caller has been told; whatever comes now is nobody's. */
  get settled(): boolean {
    return this.callback === ignore;
  }

  settle(error: Error | null, alive: boolean): void {
    const { lender, callback } = this;
    this.callback = ignore;
    this.lender = undefined;
    lender?.giveBack(this.client as TenantClient, alive, this);
    if (error !== null) callback(error);
    else callback(null, this.#results ?? this.#result);
  }
}

function ignore(): void {}
