import type pg from 'pg';
import type { ContextScope } from '../context/scope.ts';
import type { Context, TenantId } from '../context/types.ts';
import type { Prelude } from './context-prefix.ts';
import { contextPrelude } from './context-prefix.ts';
import { TextRegistry } from './texts.ts';

/** A row that a statement touched in shadow mode although it belongs to another tenant, or to none. */
export interface ShadowMiss {
  /** `schema.table` */
  readonly table: string;
  /** As the policy names it: r read, i insert, u update, d delete, w written value. */
  readonly operation: string;
  /** Rows examined, or undefined when only the first miss of a statement is known. */
  readonly rows: number | undefined;
  readonly fingerprint: string;
  readonly statement: string;
  /** The values of its parameters, so that a recorder can repeat a read and compare. In memory alone: never logged or stored. */
  readonly values?: readonly unknown[] | undefined;
  readonly callSite: string | undefined;
  readonly context: Context | undefined;
}

/** A statement that was sent without a context while `missingContext` is 'count'. */
export interface MissingContext {
  readonly fingerprint: string;
  readonly statement: string;
  readonly callSite: string | undefined;
}

export interface NamingOptions {
  /** Prepared statements kept per connection; the least recently used is closed. Default 256. */
  readonly limit?: number;
  /** A text is named from this use on. Default 2: a text that is built once is never named. */
  readonly after?: number;
  /**
   * A short word for the tenant's size, the same for tenants of like size ('s', 'm', 'l'). Statements are then
   * prepared once per size, so that a plan made for a small tenant never serves a large one.
   */
  readonly sizeClass?: (tenantId: TenantId) => string;
  /** Names of tables whose tenants differ widely in size: statements that name one are planned each time. */
  readonly skewedTables?: readonly string[];
}

export interface MultiplexOptions {
  /** Connections that single statements of many callers share. Default 4. */
  readonly connections?: number;
  /** Statements in flight on one of them. Default 4. */
  readonly depth?: number;
  /** A connection whose oldest statement runs longer than this gets no more; a text that does so twice leaves. Milliseconds, default 10. */
  readonly slowAfter?: number;
}

export interface TenantPoolOptions extends pg.PoolConfig {
  /**
   * A query outside of any context: 'error' (default) refuses it before anything is sent; 'count' sends it without
   * a tenant and reports it to `onMissingContext`, for the time a database is being adopted.
   */
  readonly missingContext?: 'error' | 'count';
  readonly onMissingContext?: (missing: MissingContext) => void;
  readonly onShadowMiss?: (miss: ShadowMiss) => void;
  /** Automatic statement naming. Default on; false: off. Always off with `pooler: 'transaction'`. */
  readonly naming?: boolean | NamingOptions;
  /** 'transaction': a pooler such as PgBouncer gives each transaction another server connection. Default 'none'. */
  readonly pooler?: 'none' | 'transaction';
  /** Lets single statements of many callers share connections. Default off. */
  readonly multiplex?: boolean | MultiplexOptions;
}

/** What the clients of one pool share. */
export interface PoolSettings {
  readonly missingContext: 'error' | 'count';
  readonly onMissingContext: ((missing: MissingContext) => void) | undefined;
  readonly onShadowMiss: ((miss: ShadowMiss) => void) | undefined;
  readonly prepares: boolean;
  readonly naming: Required<Pick<NamingOptions, 'limit' | 'after'>> & Omit<NamingOptions, 'limit' | 'after'>;
  readonly automatic: boolean;
  readonly texts: TextRegistry;
  readonly prelude: (scope: ContextScope) => Prelude;
  /** Replaces every caller's context: the operator's own. */
  readonly fixedScope: ContextScope | undefined;
}

const key = Symbol('tenantry.settings');
type Keyed = { [key]?: PoolSettings };

const namingDefaults = { limit: 256, after: 2 };

export function poolSettings(options: TenantPoolOptions): PoolSettings {
  const { missingContext = 'error', onMissingContext, onShadowMiss, naming = true, pooler = 'none' } = options;
  const prepares = pooler === 'none';
  return {
    missingContext,
    onMissingContext,
    onShadowMiss,
    prepares,
    automatic: prepares && naming !== false,
    naming: { ...namingDefaults, ...(typeof naming === 'object' ? naming : {}) },
    texts: new TextRegistry(typeof naming === 'object' ? naming.skewedTables : undefined),
    prelude: contextPrelude,
    fixedScope: undefined,
  };
}

/** Puts the settings where the pool's clients find them: pg hands its clients the pool's options. */
export function attachSettings(options: object, settings: PoolSettings): void {
  Object.defineProperty(options, key, { value: settings, enumerable: false, configurable: true });
}

export function settingsOf(options: unknown): PoolSettings {
  const attached = typeof options === 'object' && options !== null ? (options as Keyed)[key] : undefined;
  return attached ?? poolSettings((typeof options === 'object' ? options : undefined) ?? {});
}
