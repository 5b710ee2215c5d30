import type { Mode, Operation } from './declaration.ts';

export interface ExplainRequest {
  readonly table: string;
  /** Columns that name one row, usually its key. */
  readonly key: Readonly<Record<string, string | number>>;
  readonly context: { readonly tenantId?: string; readonly userId?: string; readonly tenantKey?: string };
  /** Default `select`. */
  readonly operation?: Operation;
  /** The login that would run it. Default: the runtime group tenantry_app. */
  readonly login?: string;
}

/** One thing that was looked at, in the order in which PostgreSQL does. */
export interface Finding {
  readonly check: 'row' | 'grant' | 'context' | 'bypass' | 'mode' | 'tenant' | 'owner' | 'policy';
  readonly passes: boolean;
  readonly sentence: string;
  /** The policy's name. */
  readonly policy?: string;
}

export interface Explanation {
  readonly table: string;
  readonly operation: Operation;
  /** `allowed`; `hidden`: no row, no error; `refused`: an error; `counted`: allowed in shadow, and noted; `absent`: no such row for anybody. */
  readonly verdict: 'allowed' | 'hidden' | 'refused' | 'counted' | 'absent';
  readonly mode: Mode | 'unknown';
  readonly findings: readonly Finding[];
  /** The verdict and what decided it, for a person. */
  readonly sentences: readonly string[];
}
