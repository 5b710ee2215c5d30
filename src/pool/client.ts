import pg from 'pg';
import type { ContextScope } from '../context/scope.ts';
import { currentScope, runOutsideContext } from '../context/scope.ts';
import { readAnswers } from './answers.ts';
import { captureCallSite } from './call-site.ts';
import { bracketCopy } from './copy.ts';
import type { TransactionContext } from './decide.ts';
import { refusal } from './admission.ts';
import type { BackendMessage, ClientInternals, IdleItem, TransactionStatus } from './pg-internals.ts';
import { PreparedStatements } from './prepared.ts';
import { type Settle, TenantQuery } from './query.ts';
import { queryReused } from './refusals.ts';
import { queryRequest, settleWith } from './request.ts';
import type { PoolSettings } from './settings.ts';
import { settingsOf } from './settings.ts';
import { countersName, countersText } from './shadow.ts';
import { ShadowWatch } from './shadow-watch.ts';
import type { Leftover } from './statement-class.ts';
import type { Submittable } from './submittable.ts';
import { scopeSubmittable, tagScope, taggedScope, takeOnce, textOf } from './submittable.ts';
import type { TextEntry } from './texts.ts';
import { watchQuery } from './watch.ts';
import { WireWriter } from './wire.ts';

const BaseClient = pg.Client as unknown as new (config?: unknown) => pg.Client & ClientInternals;
type Connect = (this: TenantClient, callback?: (error: Error | null) => void) => unknown;
type Query = (this: TenantClient, query: unknown, values?: unknown, callback?: unknown) => unknown;
const driver = BaseClient.prototype as unknown as { connect: Connect; query: Query };

const sharedWriter = new WireWriter();
const borrowed = ['notice', 'notification'] as const;
const noTransaction: TransactionContext = { sent: undefined, stale: false };
const readyMessages: Record<TransactionStatus, BackendMessage> = {
  I: { name: 'readyForQuery', status: 'I' },
  T: { name: 'readyForQuery', status: 'T' },
  E: { name: 'readyForQuery', status: 'E' },
};
const transactionTag = /^(?:BEGIN|START|COMMIT|ROLLBACK)/;

/** pg's client, whose every statement carries the context in which it was asked for. */
export class TenantClient extends BaseClient {
  readonly settings: PoolSettings;
  readonly prepared: PreparedStatements;
  /** Present while somebody wants to know of shadow misses. */
  readonly shadow: ShadowWatch | undefined;
  /** What the open transaction was told. */
  transaction: TransactionContext = noTransaction;
  /** What the next borrower must not find. */
  leftover: Leftover | undefined = undefined;
  /** Listeners that were there before anybody borrowed it: see `forgetBorrower`. */
  #ownListeners: ReadonlySet<unknown> | undefined = undefined;
  /** Lent out by the pool itself: the loss of the connection is the query's error, not an event. */
  leased = false;
  /** Its place among the pool's idle clients while it is lent for one query. */
  idleItem: IdleItem<TenantClient> | undefined = undefined;
  /** Statements written in front of the active query object, whose answers are dropped. */
  skip = 0;
  /** What is written next. A pipelined connection gathers in one of its own. */
  writer: WireWriter = sharedWriter;
  #flushing = false;
  readonly #contextStatements = new Set<string>();

  constructor(config?: unknown) {
    super(config);
    this.settings = settingsOf(config);
    this.prepared = new PreparedStatements(this.settings.naming.limit);
    const { onShadowMiss, texts } = this.settings;
    this.shadow = onShadowMiss === undefined ? undefined : new ShadowWatch(onShadowMiss, texts);
    this.#listen();
  }

  /** Everything the server says passes here: the active query takes its own messages, the rest goes pg's way. */
  #listen(): void {
    const { connection } = this;
    readAnswers(connection, {
      answers: () =>
        this._activeQuery instanceof TenantQuery && !connection._emitMessage ? this._activeQuery : undefined,
      ready: (status) => void connection.emit('readyForQuery', readyMessages[status]),
    });
    const emit = connection.emit.bind(connection);
    connection.emit = (name: string | symbol, message?: unknown, more?: unknown): boolean => {
      const active = this._activeQuery;
      if (name === 'notice' && this.shadow?.takes(message as BackendMessage, active)) return true;
      if (name === 'readyForQuery') this.#ready(message as BackendMessage);
      else if (active instanceof TenantQuery) {
        if (takenByQuery.has(name)) {
          active.receive(message as BackendMessage);
          return true;
        }
        if (name === 'errorMessage') {
          active.receiveError(message as Error);
          return true;
        }
      } else if (this.#passed(name, message)) return true;
      return emit(name, message, more);
    };
  }

  #ready(message: BackendMessage): void {
    this.skip = 0;
    // shared connections hold single statements alone: what is open here would be everybody's
    if (this.pipeline && message.status !== 'I') this.connection.stream.destroy();
    if (message.status === 'I') {
      this.transaction = noTransaction;
      if (!(this._activeQuery instanceof TenantQuery)) this.shadow?.forget();
    }
  }

  writeCounters(writer: WireWriter): void {
    const name = this.settings.prepares ? countersName : '';
    if (name === '' || !this.#contextStatements.has(name)) {
      if (name !== '') writer.closeStatement(name);
      writer.parse(name, countersText);
      if (name !== '') this.#contextStatements.add(name);
    }
    writer.bind(name, undefined);
    writer.execute();
  }

  /** What is dropped or noted while a query object of pg is the active one. */
  #passed(name: string | symbol, message: unknown): boolean {
    // pg asks for pages with a Flush: after an error the server would wait for a Sync that pg never sends
    if (name === 'errorMessage' && (this._activeQuery as { rows?: unknown } | null)?.rows) this.connection.sync();
    if (this.skip > 0) {
      if (name === 'parseComplete' || name === 'bindComplete') return true;
      if (name === 'commandComplete') {
        this.skip--;
        return true;
      }
      if (name === 'errorMessage') {
        (message as { phase?: string }).phase = 'context';
        this.forgetContextStatement();
        this.skip = 0;
      }
    } else if (name === 'commandComplete') this.commandCompleted((message as BackendMessage).text ?? '');
    return false;
  }

  /** The connection broke while the pool itself had lent it: its queries say so, an event would reach nobody. */
  override _handleErrorEvent(error: Error): void {
    if (!this.leased || this._connecting) {
      super._handleErrorEvent(error);
      return;
    }
    this._queryable = false;
    this._errorAllQueries(error);
  }

  /** The transaction status as it is when a statement is submitted. */
  get statusAtSubmit(): TransactionStatus {
    return this.pipeline ? 'I' : (this._txStatus ?? 'I');
  }

  /** Nothing runs, nothing waits, no transaction is open, nothing is left behind. */
  get clean(): boolean {
    return this._txStatus === 'I' && this.readyForQuery && this._queryQueue.length === 0 && this.leftover === undefined;
  }

  contextSent(scope: ContextScope): void {
    this.transaction = { sent: scope.identity, stale: false };
  }

  rememberListeners(): void {
    this.#ownListeners ??= new Set(borrowed.flatMap((event) => this.rawListeners(event)));
  }

  /** Takes away what a borrower listens with: it would hear what is said to the next one. */
  forgetBorrower(): void {
    for (const event of borrowed) {
      for (const listener of this.rawListeners(event)) {
        if (this.#ownListeners?.has(listener) === false) this.off(event, listener as () => void);
      }
    }
  }

  leaves(entry: TextEntry): void {
    if (entry.leftover !== undefined && this.settings.prepares) this.leftover = entry.leftover;
  }

  commandCompleted(tag: string): void {
    if (transactionTag.test(tag)) {
      if (this.transaction.sent !== undefined) this.transaction = { sent: this.transaction.sent, stale: true };
    } else if (tag === 'DISCARD ALL' || tag === 'DEALLOCATE ALL') {
      this.prepared.clear();
      this.forgetContextStatement();
      // what pg itself remembers of named statements
      const { parsedStatements, submittedNamedStatements } = this.connection;
      for (const names of [parsedStatements, submittedNamedStatements])
        for (const name of Object.keys(names)) delete names[name];
    }
  }

  /** Puts the context in front of what is written next. */
  writePrefix(writer: WireWriter, scope: ContextScope): void {
    const prelude = this.settings.prelude(scope);
    if (!this.settings.prepares) {
      writer.bytes(prelude.unnamed(scope));
      return;
    }
    if (!this.#contextStatements.has(prelude.name)) {
      // closed first: what a failed attempt left of it would refuse a second Parse
      writer.closeStatement(prelude.name);
      writer.parse(prelude.name, prelude.text);
      this.#contextStatements.add(prelude.name);
    }
    writer.bytes(prelude.prepared(scope));
  }

  /** Lets many callers' statements follow one another without waiting for answers. */
  startPipelining(): void {
    this.pipeline = true;
    this.leased = true;
    this.writer = new WireWriter();
  }

  /** Sends what was written: at once, or joined with what else is asked for before the next look at the sockets. */
  flush(): void {
    const { stream } = this.connection;
    if (!this.pipeline) {
      const bytes = this.writer.take();
      if (stream.writable) stream.write(bytes);
      return;
    }
    this.writer.keep();
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      const bytes = this.writer.take();
      if (stream.writable) stream.write(bytes);
    });
  }

  forgetContextStatement(): void {
    this.#contextStatements.clear();
  }

  /** The name under which a statement is prepared; empty: it is planned each time. */
  statementName({ config, entry, scope }: TenantQuery): string {
    const { prepares, automatic, naming } = this.settings;
    if (!prepares) return '';
    if (config.name) return config.name;
    if (!automatic || entry.kind !== 'query' || config.naming === false || entry.skewed) return '';
    if (entry.uses < naming.after && ++entry.uses < naming.after) return '';
    if (naming.sizeClass === undefined || scope?.context.kind !== 'tenant') return entry.name;
    return `${entry.name}_${naming.sizeClass(scope.context.tenantId)}`;
  }

  /** Takes a query that is built: submits it at once, or queues it. */
  enqueue(query: TenantQuery): void {
    query.client = this;
    if (!this._queryable) {
      refuse(query, 'Client has encountered a connection error and is not queryable');
    } else if (this._ending) refuse(query, 'Client was closed and is not queryable');
    else {
      this._queryQueue.push(query);
      this._pulseQueryQueue();
    }
  }

  /** Puts a statement that did not run back in front of the queue. */
  resubmit(query: TenantQuery): void {
    this._queryQueue.unshift(query);
  }

  /** What `query` does: reads the context here and now, and sends it with the statement. */
  ask(config: unknown, values?: unknown, callback?: unknown): unknown {
    const request = queryRequest(config, values, callback);
    if ('submittable' in request) {
      this.#querySubmittable(request.submittable, values, callback);
      return request.submittable;
    }
    if ('rare' in request) {
      return settleWith(request.callback, (settle) => this.#querySubmittable(request.rare, undefined, settle));
    }
    const { settings } = this;
    const scope = settings.fixedScope ?? currentScope();
    const entry = settings.texts.entry(request.config.text);
    const refused = refusal(settings, entry, scope);
    return settleWith(request.callback, (settle) => {
      const query = new TenantQuery(entry, request.config, scope, settle);
      if (settings.onShadowMiss !== undefined) query.site = captureCallSite();
      if (refused !== undefined) query.settle(refused, true);
      else if (watchQuery(this, query)) this.enqueue(query);
    });
  }

  #querySubmittable(query: Submittable, values: unknown, callback: unknown): void {
    const { settings } = this;
    const scope = settings.fixedScope ?? (taggedScope(query) ?? { scope: currentScope() }).scope;
    const entry = settings.texts.entry(textOf(query));
    tagScope(query, scope);
    const refused = takeOnce(query) ? refusal(settings, entry, scope) : queryReused();
    if (refused !== undefined) {
      const given = [query.callback, values, callback].find((one) => typeof one === 'function') as Settle | undefined;
      // without a callback a query object tells its listeners
      process.nextTick(() => (given === undefined ? query.handleError(refused, this.connection) : given(refused)));
      return;
    }
    if (entry.kind !== 'copy') scopeSubmittable(this, query, entry, scope);
    else if (scope !== undefined) bracketCopy(this, query, scope);
    driver.query.call(this, query, values, callback);
  }
}

// Put in place of pg's own and not declared as methods: they keep pg's many signatures.
const overrides: { connect: Connect; query: Query } = {
  connect(callback) {
    // a socket remembers who opened it, and would run every later callback as that tenant
    return runOutsideContext(() => driver.connect.call(this, callback));
  },
  query(config, values, callback) {
    return this.ask(config, values, callback);
  },
};
Object.assign(TenantClient.prototype, overrides);

const takenByQuery = new Set<string | symbol>([
  'dataRow',
  'commandComplete',
  'rowDescription',
  'noData',
  'parseComplete',
  'bindComplete',
  'closeComplete',
  'emptyQuery',
  'portalSuspended',
  'copyInResponse',
  'copyOutResponse',
  'copyData',
  'copyDone',
]);

function refuse(query: TenantQuery, reason: string): void {
  process.nextTick(() => query.handleError(new Error(reason)));
}
