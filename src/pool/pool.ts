import { AsyncResource } from 'node:async_hooks';
import pg from 'pg';
import { ContextScope, currentScope, runInScope, runOutsideContext } from '../context/scope.ts';
import { captureCallSite } from './call-site.ts';
import { TenantClient } from './client.ts';
import { cleanConnection } from './hygiene.ts';
import { refusal } from './admission.ts';
import { Multiplexer } from './multiplex.ts';
import type { IdleItem, IdleListener, PendingItem, PoolInternals } from './pg-internals.ts';
import type { Lender } from './query.ts';
import { TenantQuery } from './query.ts';
import { queryRequest, settleWith } from './request.ts';
import type { PoolSettings, TenantPoolOptions } from './settings.ts';
import { attachSettings, poolSettings } from './settings.ts';
import { tagScope } from './submittable.ts';
import { abortReason, watchQuery } from './watch.ts';

type Release = (error?: Error | boolean) => void;
const BasePool = pg.Pool as unknown as new (
  options?: object,
) => pg.Pool & PoolInternals<TenantClient> & { Client: unknown };
type Connect = (this: TenantPool, callback?: (...args: unknown[]) => void) => unknown;
type Query = (this: TenantPool, query: unknown, values?: unknown, callback?: unknown) => unknown;
type End = (this: TenantPool, callback?: (error?: Error) => void) => Promise<unknown> | undefined;
const driver = BasePool.prototype as unknown as { connect: Connect; query: Query; end: End };

const setup = new ContextScope({ kind: 'system', reason: 'set up a new connection' });

/** Waits for a connection, to run one query on it. */
class WaitingQuery implements PendingItem<TenantClient> {
  readonly query: TenantQuery;
  timer: NodeJS.Timeout | undefined = undefined;

  constructor(query: TenantQuery) {
    this.query = query;
  }

  callback(error: Error | undefined, client: TenantClient | undefined, release: Release): void {
    clearTimeout(this.timer);
    if (this.query.settled) release();
    else if (client === undefined) this.query.settle(error ?? new Error('The pool gave no connection'), true);
    else start(client, this.query);
  }
}

function start(client: TenantClient, query: TenantQuery): void {
  client.leased = true;
  query.client = client;
  if (watchQuery(client, query)) client.enqueue(query);
}

/**
 * A `pg.Pool` that tells the server with each query who asks: in the same write, for that query or transaction
 * alone. Wherever a `pg.Pool` is expected, this one can be given.
 */
export class TenantPool extends BasePool implements Lender {
  readonly settings: PoolSettings;
  readonly #multiplexer: Multiplexer | undefined;

  constructor(options: TenantPoolOptions = {}, settings: PoolSettings = poolSettings(options)) {
    super(options);
    this.settings = settings;
    this.Client = TenantClient;
    attachSettings(this.options, this.settings);
    // lost while it is checked out and runs nothing, a connection would end the process; its next query fails all the same
    this.on('connect', (client) => client.on('error', () => {}));
    this.on('acquire', (client) => (client as unknown as TenantClient).rememberListeners());
    const { onConnect } = this.options;
    if (onConnect !== undefined)
      this.options.onConnect = (client) => runInScope(setup, () => onConnect(client)) as never;
    const { multiplex = false } = options;
    if (multiplex !== false) {
      this.#multiplexer = new Multiplexer(
        multiplex === true ? {} : multiplex,
        () => this.#openShared(),
        (query) => this.#dispatch(query),
      );
    }
  }

  override newClient(item: PendingItem<TenantClient>): void {
    runOutsideContext(() => super.newClient(item));
  }

  /** What `query` does: reads the context here and now, and sends it with the statement. */
  ask(config: unknown, values?: unknown, callback?: unknown): unknown {
    const request = queryRequest(config, values, callback);
    const { settings } = this;
    const scope = settings.fixedScope ?? currentScope();
    if ('submittable' in request) {
      tagScope(request.submittable, scope);
      return driver.query.call(this, request.submittable, values, callback);
    }
    if ('rare' in request) {
      tagScope(request.rare, scope);
      return driver.query.call(this, request.rare, undefined, request.callback);
    }
    const entry = settings.texts.entry(request.config.text);
    const refused = refusal(settings, entry, scope);
    return settleWith(request.callback, (settle) => {
      const query = new TenantQuery(entry, request.config, scope, settle);
      if (settings.onShadowMiss !== undefined) query.site = captureCallSite();
      if (refused !== undefined) query.settle(refused, true);
      else if (this.#multiplexer?.accepts(query) && !this.ending) this.#multiplexer.run(query);
      else this.#dispatch(query);
    });
  }

  async #openShared(): Promise<TenantClient> {
    const client = runOutsideContext(() => new TenantClient(this.options));
    client.leased = true;
    try {
      await client.connect();
      await Promise.resolve(this.options.onConnect?.(client) as unknown);
      client.startPipelining();
      return client;
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
  }

  /** Ends the connections that are shared; pg ends the others. */
  async endShared(): Promise<void> {
    await this.#multiplexer?.end();
  }

  #dispatch(query: TenantQuery): void {
    if (this.ending) {
      query.settle(new Error('Cannot use a pool after calling end on the pool'), true);
      return;
    }
    query.lender = this;
    const item = this._idle.pop();
    if (item !== undefined) this.#lend(item, query);
    else {
      const waiting = new WaitingQuery(query);
      const { signal } = query.config;
      signal?.addEventListener('abort', () => this.#giveUp(waiting, abortReason(signal)), { once: true });
      if (this._isFull()) this.#wait(waiting);
      else this.newClient(waiting);
    }
  }

  #wait(waiting: WaitingQuery): void {
    const { connectionTimeoutMillis } = this.options;
    if (connectionTimeoutMillis) {
      waiting.timer = setTimeout(() => {
        this.#giveUp(waiting, new Error('timeout exceeded when trying to connect'));
      }, connectionTimeoutMillis);
      waiting.timer.unref();
    }
    this._pendingQueue.push(waiting);
  }

  /** Ends a query that has no connection yet. */
  #giveUp(waiting: WaitingQuery, error: Error): void {
    if (waiting.query.client !== undefined) return;
    this._pendingQueue = this._pendingQueue.filter((item) => item !== waiting);
    waiting.query.settle(error, true);
  }

  /** Lends an idle client for one query, without the listeners and promises of a check-out. */
  #lend(item: IdleItem<TenantClient>, query: TenantQuery): void {
    const { client } = item;
    client.idleItem = item;
    if (this.options.allowExitOnIdle) client.ref();
    this.emit('acquire', client);
    start(client, query);
  }

  giveBack(client: TenantClient | undefined, alive: boolean): void {
    if (client === undefined) return;
    client.leased = false;
    const item = client.idleItem;
    client.idleItem = undefined;
    const lost = alive ? undefined : new Error('The connection was lost during a query');
    if (item === undefined) {
      (client as unknown as { release: Release }).release(lost);
      return;
    }
    if (!alive || !client.clean || this.ending || this.options.maxUses !== Infinity || this._expired.has(client)) {
      client.removeListener('error', item.idleListener);
      this._release(client, item.idleListener, lost);
      return;
    }
    this.emit('release', undefined, client);
    const waiting = this._pendingQueue[0];
    if (waiting instanceof WaitingQuery) {
      this._pendingQueue.shift();
      clearTimeout(waiting.timer);
      this.#lend(item, waiting.query);
      return;
    }
    item.timeoutId?.refresh();
    if (this.options.allowExitOnIdle) client.unref();
    this._idle.push(item);
    if (waiting !== undefined) this._pulseQueue();
  }

  override _remove(client: TenantClient, callback?: () => void): void {
    // its idle timer, which is not stopped while it is lent for one query
    if (client.idleItem !== undefined) return;
    super._remove(client, callback);
  }

  override _release(client: TenantClient, idleListener: IdleListener, error?: Error | boolean): void {
    const usable = !error && !this.ending && client._queryable && !client._ending;
    client.forgetBorrower();
    if (!usable || client.clean) {
      super._release(client, idleListener, error);
      return;
    }
    client.leased = true;
    const { onConnect } = this.options;
    cleanConnection(client, onConnect && (() => onConnect(client as unknown as pg.ClientBase))).then(
      () => this.#cleaned(client, idleListener),
      (failure: Error) => this.#cleaned(client, idleListener, failure),
    );
  }

  #cleaned(client: TenantClient, idleListener: IdleListener, failure?: Error): void {
    client.leased = false;
    super._release(client, idleListener, failure);
  }
}

// Put in place of pg's own and not declared as methods: they keep pg's many signatures.
const overrides: { connect: Connect; query: Query; end: End } = {
  end(callback) {
    // its sockets close later: a server that stops meanwhile still says so to them, and nobody is there to hear it
    this.on('error', () => {});
    const ended = Promise.all([driver.end.call(this), this.endShared()]).then(() => undefined);
    if (callback === undefined) return ended;
    ended.then(
      () => process.nextTick(callback),
      (error: Error) => process.nextTick(callback, error),
    );
    return undefined;
  },
  connect(callback) {
    // on plain pg a callback that had to wait runs as whoever released the client
    return driver.connect.call(this, callback && AsyncResource.bind(callback));
  },
  query(config, values, callback) {
    return this.ask(config, values, callback);
  },
};
Object.assign(TenantPool.prototype, overrides);

/**
 * Opens a pool for the application's own login, which must be a plain member of tenantry_app.
 *
 * @example
 * ```ts
 * import { createPool, withTenant } from 'tenantry';
 *
 * const pool = createPool({ connectionString: process.env.DATABASE_URL });
 * await withTenant({ tenantId }, () => pool.query('select * from invoices where id = $1', [id]));
 * ```
 */
export function createPool(options: TenantPoolOptions = {}): TenantPool {
  return new TenantPool(options);
}
