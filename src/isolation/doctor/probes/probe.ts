import type { PoolLike } from '../../../database/kernel.ts';
import type { Queryable } from '../../../database/sql.ts';
import type { CheckRow } from '../finding.ts';

/** What a live probe works with. */
export interface ProbeInput {
  readonly app: Queryable;
  /** Absent when doctor was given one connection only. */
  readonly connections?: PoolLike;
  readonly schema: string;
  /** The schema is there, with the function that checks start from. */
  readonly ready: boolean;
  /** `server_version_num`. */
  readonly serverNumber: number;
  /** What the configuration says stands between. */
  readonly pooler: 'none' | 'transaction';
}

/** Why a probe did not look. */
export interface Skipped {
  readonly skipped: string;
}

/** A check that one statement cannot make. */
export type Probe = (input: ProbeInput) => Promise<readonly CheckRow[] | Skipped>;
