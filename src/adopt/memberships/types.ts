import type { TableName } from '../inspection.ts';
import type { KeyColumn } from '../key-text.ts';

export type MemberRole = 'admin' | 'member';

/** How the old tables become users and memberships, as the plan file writes it. */
export interface MembershipDecisions {
  readonly users: {
    readonly table: TableName;
    readonly key: string;
    readonly email: string;
    readonly name?: string | undefined;
    /** Rows that count, as a condition: `deleted_at is null`. */
    readonly where?: string | undefined;
    /** Rows with one address: refuse them (`stop`), or make them one user (`merge`). */
    readonly duplicates?: 'stop' | 'merge' | undefined;
    /** Rows without a usable address: refuse them (`stop`), or leave them out (`skip`). */
    readonly without_email?: 'stop' | 'skip' | undefined;
  };
  readonly from: readonly MembershipSourceDecision[];
  /** Memberships whose organization or user is not there: refuse them (`stop`), or leave them out (`skip`). */
  readonly dangling?: 'stop' | 'skip' | undefined;
}

export interface MembershipSourceDecision {
  readonly table: TableName;
  readonly user: string;
  /** The column that holds the organization's key; several for a key of several. */
  readonly organization?: string | readonly string[] | undefined;
  /** Instead: an array of them. */
  readonly organizations?: string | undefined;
  readonly role?: string | undefined;
  /** Instead: an array of roles. */
  readonly roles_column?: string | undefined;
  /** `position`: the n-th role is that in the n-th organization. Default: every role counts in each of the user's organizations. */
  readonly roles_by?: 'position' | 'user' | undefined;
  /** Old role → `admin`, `member` or `none` (no membership); `*` for every other, and for none at all. */
  readonly roles?: Readonly<Record<string, MemberRole | 'none'>> | undefined;
  readonly where?: string | undefined;
}

/** A source with its columns found in the database. */
export interface MembershipSource extends MembershipSourceDecision {
  readonly userColumn: KeyColumn;
  /** Columns of the organization's key, or the one array; empty when every row belongs to the constant organization. */
  readonly organizationColumns: readonly KeyColumn[];
  readonly array: 'none' | 'array' | 'json';
  readonly rolesArray: 'none' | 'array' | 'json';
  readonly roleMap: Readonly<Record<string, MemberRole | 'none'>>;
}

export interface MembershipPlan {
  /** As they were written. */
  readonly decisions: MembershipDecisions;
  /** The same with the table's name as SQL. */
  readonly users: MembershipDecisions['users'];
  readonly userKey: KeyColumn;
  readonly sources: readonly MembershipSource[];
  /** Old tables that no step of the plan makes readable for tenantry_owner otherwise. */
  readonly tables: readonly TableName[];
}
