import { translateDatabaseError } from '../database/database-error.ts';
import type { PoolLike } from '../database/kernel.ts';
import type { LockOptions } from '../database/locks.ts';
import type { Queryable, Statement } from '../database/sql.ts';
import type { OwnerRule } from './declaration.ts';
import { explainRow } from './explain.ts';
import type { Explanation, ExplainRequest } from './explanation.ts';
import { parseTableName } from './facts.ts';
import { protectTable, type ProtectRunOptions } from './protect.ts';
import { readShadowReport, type ShadowReportRow, type MissStatus } from './shadow-report.ts';
import { readStatus, type TableStatus } from './status.ts';
import { readStrictBinding, setStrictBinding } from './strict-binding.ts';
import { shadowGuard, switchMode, type SwitchResult } from './switch-mode.ts';
import { withoutForce } from './without-force.ts';

export interface IsolationOptions {
  /** Connections of a login that is a member of tenantry_owner: the one that migrates, never the application's. */
  readonly admin: PoolLike;
  /** The kernel's schema. Default `tenantry`. */
  readonly schema?: string;
}

export interface ShadowOptions extends LockOptions {
  /** For a table that Tenantry does not know yet. Default `tenant_id`. */
  readonly column?: string;
  readonly owner?: OwnerRule;
  readonly keepOwner?: boolean;
}

export interface EnforceOptions extends ShadowOptions {
  /** Enforce although shadow has counted statements that will change. */
  readonly force?: boolean;
  /** Look back to here for such statements. Default: since shadow began. */
  readonly since?: Date;
}

export interface Isolation {
  /** Every protected table with its mode, and where the catalogue differs from it. */
  status(): Promise<TableStatus[]>;
  /** A new table becomes a tenant's: column, key, index, foreign key, owner, grants, policies, mode. */
  protect(table: string, options?: ProtectRunOptions): Promise<readonly Statement[]>;
  /** Policies stay and do not apply. `restoreOwner` gives owner and grants back and takes the policies away. */
  off(table: string, options?: LockOptions & { readonly restoreOwner?: boolean }): Promise<SwitchResult>;
  /** Nothing is hidden or refused; what would be is counted. */
  shadow(table: string, options?: ShadowOptions): Promise<SwitchResult>;
  /** Rows of another tenant are hidden, writes of them refused. @throws TNT_SHADOW_NOT_CLEAN */
  enforce(table: string, options?: EnforceOptions): Promise<SwitchResult>;
  /** What enforcement would change, as shadow has counted it. */
  shadowReport(options?: {
    readonly since?: Date;
    readonly table?: string;
    readonly status?: MissStatus;
    readonly limit?: number;
  }): Promise<ShadowReportRow[]>;
  /** Why a row is or is not visible, or a write refused, for a context. */
  explain(request: ExplainRequest): Promise<Explanation>;
  /** Whether a statement without a tenant is an error (true) or finds no rows. Without an argument: how it is. */
  strictBinding(strict?: boolean): Promise<boolean>;
  /** Lifts FORCE from a table that kept its owner while `fn` validates or copies. */
  withoutForce<T>(table: string, fn: (tx: Queryable) => Promise<T>, options?: LockOptions): Promise<T>;
}

/**
 * The modes of the protected tables, switched at run time; each switch is one transaction under a lock timeout.
 *
 * @example
 * ```ts
 * const isolation = createIsolation({ admin });
 * await isolation.shadow('public.orders');
 * const found = await isolation.shadowReport({ table: 'public.orders', status: 'confirmed' });
 * if (found.length === 0) await isolation.enforce('public.orders');
 * ```
 */
export function createIsolation({ admin, schema = 'tenantry' }: IsolationOptions): Isolation {
  const translated = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      throw translateDatabaseError(error);
    }
  };
  return {
    status: () => translated(readStatus(admin, schema)),
    protect: async (table, options) => protectTable(admin, schema, parseTableName(table), options),
    off: async (table, options) => switchMode(admin, schema, parseTableName(table), 'off', options),
    shadow: async (table, options) => switchMode(admin, schema, parseTableName(table), 'shadow', options),
    async enforce(table, { force = false, since, ...options } = {}) {
      const name = parseTableName(table);
      return switchMode(admin, schema, name, 'enforced', {
        ...options,
        ...(force ? {} : { guard: shadowGuard(schema, name, since) }),
      });
    },
    shadowReport: async ({ table, ...options } = {}) =>
      translated(
        readShadowReport(admin, schema, {
          ...options,
          ...(table === undefined ? {} : { table: parseTableName(table) }),
        }),
      ),
    explain: (request) => translated(explainRow(admin, schema, request)),
    async strictBinding(strict) {
      if (strict !== undefined) await translated(setStrictBinding(admin, schema, strict));
      return translated(readStrictBinding(admin, schema));
    },
    withoutForce: async (table, fn, options) => translated(withoutForce(admin, parseTableName(table), fn, options)),
  };
}
