import type { Statement } from '../database/sql.ts';
import type { Classification } from './classify.ts';
import type { ForeignKey, TableName, UniqueDefinition } from './inspection.ts';
import type { OrganizationKeys } from './key-text.ts';
import type { MembershipPlan } from './memberships/types.ts';

/** The phases in order. A run stops after any of them; undo goes back from any of them. */
export const phases = [
  'preflight',
  'expand',
  'backfill',
  'verify',
  'tighten',
  'shadow',
  'enforced',
  'contract',
] as const;
export type Phase = (typeof phases)[number];

interface StepBase {
  /** `expand/public.orders/column`: stable, so that a run finds its steps again. */
  readonly id: string;
  readonly phase: Phase;
  readonly table: TableName | null;
  /** May be added to a run that is open, or taken out of it before it has begun: nothing else stands on it. */
  readonly optional?: true;
}

/** Statements of one short transaction, under a lock time-out, recorded as done in the same transaction. */
export interface TransactionStep extends StepBase {
  readonly kind: 'transaction';
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
  /** Holds no lock that stops writers and may take long (VALIDATE). */
  readonly long?: boolean;
}

/** An index made CONCURRENTLY, checked for validity and made again when a try left an invalid one. */
export interface IndexStep extends StepBase {
  readonly kind: 'index';
  /** Its name as SQL, schema included. */
  readonly index: string;
  /** Where it belongs, and on what: an index of the same name that is another's is left alone. */
  readonly relation: TableName;
  readonly columns: readonly string[];
  readonly unique?: true;
  /** Of one with expressions or a condition, which columns do not tell: what follows `using btree (` in its definition. */
  readonly tail?: string;
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
}

/** Takes a global unique key away, once the one per tenant is there; the way back makes it again, concurrently. */
export interface RetireStep extends StepBase {
  readonly kind: 'retire';
  readonly index: string;
  readonly relation: TableName;
  readonly columns: readonly string[];
  readonly unique: true;
  readonly tail: string;
  /** The index that is unique per tenant. */
  readonly successor: string;
  /** One row of `finding, rows, keys` where several rows have one value: then there is no way back. */
  readonly taken: Statement;
  readonly up: readonly Statement[];
  /** The index, then in one transaction what stood on it. */
  readonly down: readonly Statement[];
}

/** One pass over the pages of a relation: `$1` and `$2` the first page and the one behind the last, `$3` stripes, `$4` the stripe. */
export interface BackfillStep extends StepBase {
  readonly kind: 'backfill';
  readonly relation: TableName;
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
}

/** Reads only; rows that come back are findings. */
export interface CheckStep extends StepBase {
  readonly kind: 'check';
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
}

/** Hands the table to the isolation engine. */
export interface ModeStep extends StepBase {
  readonly kind: 'mode';
  readonly mode: 'shadow' | 'enforced';
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
}

/** One statement again and again, each time in a transaction of its own: `$1` the last key of the batch before, `$2` how many. */
export interface BatchStep extends StepBase {
  readonly kind: 'batches';
  readonly up: readonly Statement[];
  readonly down: readonly Statement[];
}

export type Step = TransactionStep | IndexStep | BackfillStep | CheckStep | ModeStep | BatchStep | RetireStep;

/** When a row must have its tenant: as it is written, when its transaction commits (deferrable keys), or never (keys that may be null). */
export type Required = 'at once' | 'at commit' | 'never';

export interface TablePlan extends Classification {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  /** Relations that hold the rows: the table, or its partitions. */
  readonly leaves: readonly TableName[];
  readonly primaryKey: readonly string[];
  /** Tables that it inherits from (INHERITS) and that have a tenant: their column is this table's too. */
  readonly inherits: readonly TableName[];
  /** Other tables inherit from it: a query without ONLY reads their rows as well. */
  readonly inherited: boolean;
  /** Generated columns among those of its keys: what they are computed from. */
  readonly generated: readonly {
    readonly column: string;
    readonly expression: string;
    readonly reads: readonly string[];
  }[];
  /** Of a table without a tenant: its keys to tables with one. Nothing compares them; one that is not among them is new. */
  readonly known?: readonly ForeignKey[];
  readonly rows: number;
  readonly required: Required;
  /** Unique keys that are global, what becomes of each at contract, and those that a person adds. */
  readonly uniques: readonly UniquePlan[];
  /** Foreign keys that carry the tenant from tighten on, by their labels. */
  readonly compositeKeys: readonly string[];
}

/** A reference without a constraint, as the plan file writes it. */
export interface ReferenceDecision {
  /** `public.notes(order_id)`; of a polymorphic pair the discriminator comes first: `public.comments(owner_type, owner_id)`. */
  readonly from: string;
  /** `public.orders(id)`; of a polymorphic pair one for each value of the discriminator. */
  readonly to: string | Readonly<Record<string, string>>;
}

/** A reference that names and data speak for. Offered, never assumed. */
export interface FoundReference extends ReferenceDecision {
  readonly table: TableName;
  readonly columns: readonly string[];
  readonly confidence: 'high' | 'medium' | 'low';
  /** What speaks for it and against it, in words. */
  readonly reason: string;
  /** Different values looked at, and how many of them the parent has. */
  readonly sampled: number;
  readonly found: number;
}

/** `per-tenant`: two tenants may have the same value, from contract on. `global`: stays as it is. */
export type UniqueDecision = 'per-tenant' | 'global';

export interface UniquePlan {
  /** Of the index or constraint; of one that a person adds its columns in parentheses, `(number)`. */
  readonly name: string;
  readonly columns: readonly string[];
  readonly proposal: UniqueDecision;
  readonly reason: string;
  /** Nobody has decided: it stays as it is. */
  readonly decided: UniqueDecision | null;
  /** Why it cannot become per tenant; null where it can. */
  readonly obstacle: string | null;
  readonly constraint: boolean;
  /** Null for one that a person adds. */
  readonly definition: UniqueDefinition | null;
}

/** Everything an adoption will do, as data. */
export interface Plan {
  readonly version: 1;
  readonly database: string;
  readonly serverVersion: number;
  /** The name of the tenant column. */
  readonly column: string;
  readonly root: {
    readonly table: TableName;
    readonly key: readonly string[];
    readonly nameColumn: string | null;
  } | null;
  readonly constant: { readonly name: string; readonly key: string } | null;
  /** Instead of a root table: a query whose rows are the tenants (`key`, and optionally `name`). */
  readonly mapping: { readonly query: string } | null;
  /** The columns that hold the organization's key: in the root, or in the tables that a mapping reaches. */
  readonly keys: OrganizationKeys;
  /** Old user and organization tables that become users and members. */
  readonly memberships: MembershipPlan | null;
  /** References without a constraint that a person confirmed. */
  readonly references: readonly ReferenceDecision[];
  /** References that were found and are not confirmed: comments in the plan file. */
  readonly offers: readonly FoundReference[];
  /** Every table, in the order of its name. */
  readonly tables: readonly TablePlan[];
  /** Tables that get a tenant, parents before children. */
  readonly order: readonly TableName[];
  readonly steps: readonly Step[];
}
