import type { Statement } from '../database/sql.ts';
import type { Classification } from './classify.ts';
import type { ForeignKey, TableName } from './inspection.ts';
import type { OrganizationKeys } from './key-text.ts';
import type { MembershipPlan } from './memberships/types.ts';

/** The phases in order. A run stops after any of them; undo goes back from any of them. */
export const phases = ['preflight', 'expand', 'backfill', 'verify', 'tighten', 'shadow', 'enforced'] as const;
export type Phase = (typeof phases)[number];

interface StepBase {
  /** `expand/public.orders/column`: stable, so that a run finds its steps again. */
  readonly id: string;
  readonly phase: Phase;
  readonly table: TableName | null;
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
  readonly up: readonly Statement[];
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

export type Step = TransactionStep | IndexStep | BackfillStep | CheckStep | ModeStep | BatchStep;

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
  /** Unique keys that stay global, and what becomes of each at contract. */
  readonly uniques: readonly UniquePlan[];
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

export interface UniquePlan {
  readonly name: string;
  readonly columns: readonly string[];
  /** `rescope`: unique per tenant from contract on. `keep`: stays as it is. */
  readonly proposal: 'rescope' | 'keep';
  readonly reason: string;
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
