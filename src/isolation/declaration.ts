export interface TableName {
  readonly schema: string;
  readonly table: string;
}

/** How a table says whose rows are whose. */
export interface TableDeclaration extends TableName {
  /** The column that holds the tenant. */
  readonly column: string;
  readonly key: TenantKey;
  /** Rows may belong to one user of the tenant as well. */
  readonly owner?: OwnerRule;
}

/**
 * What the tenant column holds: the organization's id, or the host's own key (`account_id bigint`), which the context
 * carries as text and the policy casts to the column's type (without its length: a cast that cuts could meet another key).
 */
export type TenantKey = { readonly kind: 'uuid' } | { readonly kind: 'key'; readonly type: string };

/** "Mine, or nobody's, or I may read all", for reads and writes, on top of the tenant floor. */
export interface OwnerRule {
  /** A uuid column compared with the user of the context; null means nobody's. */
  readonly column: string;
  /** The permission that lets a member read and write everybody's rows, e.g. `emails.read_all`. */
  readonly readAll?: string;
}

export type Mode = 'off' | 'shadow' | 'enforced';

/** What a statement does to rows, in the words of the shadow report. */
export type Operation = 'select' | 'insert' | 'update' | 'delete';

/** The one-letter operations of `tenantry.shadow_miss`. `w` is the row as an UPDATE writes it, `u` as it found it. */
export const operationOfLetter: Readonly<Record<string, Operation>> = {
  r: 'select',
  i: 'insert',
  u: 'update',
  w: 'update',
  d: 'delete',
};
