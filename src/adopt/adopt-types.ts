import type { PoolLike } from '../database/kernel.ts';
import type { LockOptions } from '../database/locks.ts';
import type { Isolation } from '../isolation/index.ts';
import type { PlanCheck, PlanDifference } from './check/difference.ts';
import type { Classification } from './classify.ts';
import type { Conflict } from './conflicts.ts';
import type { AdoptRows } from './decisions/adopt-rows.ts';
import type { KeptCopy } from './decisions/quarantine.ts';
import type { DryRun } from './hooks/dry-run.ts';
import type { Confirm } from './hooks/perform.ts';
import type { AdoptHooks, VerifyReport } from './hooks/types.ts';
import type { Inspection } from './inspection.ts';
import type { MembershipSummary } from './memberships/check.ts';
import type { PlanDecisions } from './plan.ts';
import type { FoundReference, Phase, Plan } from './plan-types.ts';
import type { PreflightFinding } from './preflight.ts';
import type { RootProposal } from './roots.ts';
import type { BackfillOptions } from './run/backfill-run.ts';
import type { OnEvent } from './run/events.ts';
import type { Finding } from './run/steps-run.ts';
import type { AdoptStatus } from './status.ts';
import type { GeneratedTypes, TypesOptions } from './types/generate.ts';

export interface AdoptOptions {
  /** Connections of the migrating login, at least four: member of tenantry_owner and of the tables' owners. */
  readonly adminPool: PoolLike;
  /** The kernel's schema. Default `tenantry`. */
  readonly schema?: string;
  /** Default: the isolation engine over the same pool. */
  readonly isolation?: Isolation;
  /** Work of your own before and after phases and for each organization. */
  readonly hooks?: AdoptHooks;
  /** Told of everything that happens. */
  readonly onEvent?: OnEvent;
}

export interface RunOptions extends BackfillOptions {
  /** Where to stop. Default `enforced`. */
  readonly to?: Phase;
  /** Stops between two transactions; a later run goes on there. */
  readonly signal?: AbortSignal;
  /** Lock time-out, attempts and pauses of every statement. */
  readonly locks?: LockOptions;
  /** Goes on although somebody has paused it. */
  readonly resume?: boolean;
  /** Enforce although shadow has counted statements that will change. */
  readonly force?: boolean;
  /** Answers what hooks ask. Without it a question stops the run. */
  readonly confirm?: Confirm;
  /** Go on without the hooks that the adoption was begun with: their work stays as it is. */
  readonly withoutHooks?: boolean;
  readonly onEvent?: OnEvent;
}

export interface RunResult {
  readonly runId: string;
  /** The furthest phase that is complete. */
  readonly phase: Phase;
  readonly tables: number;
  /** Rows filled by the backfill, in this run and those it resumed. */
  readonly rows: number;
  readonly seconds: number;
}

export interface ContractOptions extends RunOptions {
  /** With decisions about keys that were added since the run began. */
  readonly plan?: Plan;
}

export interface ContractResult extends RunResult {
  /** Global unique keys that are gone, as SQL. */
  readonly retired: readonly string[];
  /** Keys that nobody has decided about and that could be per tenant: they stay as they are. */
  readonly undecided: readonly { readonly table: string; readonly name: string; readonly reason: string }[];
}

export interface UndoResult {
  readonly phase: Phase;
  /** Lines in which the schema differs from what it was before the adoption; empty when it is the same. */
  readonly differences: readonly string[];
  /** Copies of shared rows that were changed since they were made: they stay, with what refers to them. */
  readonly kept: readonly KeptCopy[];
}

export interface PlanOptions {
  /** Keeps the decisions of a file whose tables or keys came and went, and proposes the rest; default false: refuses such a file. */
  readonly update?: boolean;
}

export interface PlanResult {
  readonly plan: Plan;
  /** `tenantry.plan.yaml`. */
  readonly file: string;
  /** Rows that stop a run: nothing is decided about them. */
  readonly conflicts: readonly Conflict[];
  /** The others, with what the plan says about them. */
  readonly decided: readonly Conflict[];
  /** How many organizations there will be. */
  readonly organizations: number;
  /** What the old tables of users and memberships will become; null where the plan declares none. */
  readonly memberships: MembershipSummary | null;
}

export interface Adopt extends AdoptRows {
  /** What is in the database, which tables could be the tenant, and which columns look like references that no constraint declares. */
  inspect(): Promise<{
    inspection: Inspection;
    roots: readonly RootProposal[];
    references: readonly FoundReference[];
  }>;
  /** Every table's class, with the reason. */
  classify(decisions: PlanDecisions): Promise<readonly Classification[]>;
  /** The plan by decisions, or by the text of a plan file that a person may have edited. Reads only. */
  plan(decisions: PlanDecisions | string, options?: PlanOptions): Promise<PlanResult>;
  /** The plan as one HTML file: tables by class as a picture, each with its reason, and the phases. Reads only. */
  page(decisions: PlanDecisions | string): Promise<string>;
  /** Every statement of every phase in the order in which it runs, as a script for psql. Reads only. */
  sql(decisions: PlanDecisions | string): Promise<string>;
  /** The types of the tenant columns for Drizzle, Prisma or Kysely. Reads only. */
  types(options: TypesOptions): Promise<GeneratedTypes>;
  /** Compares the text of a committed plan file with the database, before, in and after an adoption. Reads only. */
  check(text: string): Promise<PlanCheck>;
  /** Tells the database what the committed file says about tables and foreign keys that came after the adoption. @returns what is new of it */
  accept(text: string): Promise<readonly PlanDifference[]>;
  /** What stands in the way or deserves a look before anything is changed. Reads only. */
  preflight(plan: Plan): Promise<readonly PreflightFinding[]>;
  /**
   * The last phase: global unique keys go, where the plan makes them per tenant. It can be undone until two tenants have the same value.
   *
   * @throws TNT_PLAN_INVALID before enforced, and when the application sends statements that name such a key
   */
  contract(options?: ContractOptions): Promise<ContractResult>;
  /**
   * Starts the adoption by a plan, or goes on with the open one. Safe to repeat at any time. A plan that only adds decisions about keys
   * to the open one's is taken into it.
   */
  run(plan: Plan | null, options?: RunOptions): Promise<RunResult>;
  /**
   * What `run` would do: the statements of every step that is open, and what the hooks say that they would do. Hooks run in one
   * transaction that is rolled back; steps do not run, so a hook that needs what they make says so by `dryRun`.
   */
  dryRun(plan: Plan | null, options?: RunOptions): Promise<DryRun>;
  /** Runs the hooks of organizations that came since the last run. @returns how many hooks ran */
  hooks(options?: RunOptions): Promise<number>;
  /** Compares every row's tenant with its parents', now. */
  verify(): Promise<readonly Finding[]>;
  /** What the hooks of `onVerify` tell, now. */
  verifyHooks(): Promise<readonly VerifyReport[]>;
  status(): Promise<AdoptStatus | null>;
  /** A run that works now stops between two transactions, within a second; none begins before `resume`. */
  pause(): Promise<{ readonly running: boolean }>;
  /** Takes the pause back. It starts nothing: `run` goes on. */
  resume(): Promise<void>;
  /** Takes everything back, or down to a phase. The data stays. */
  undo(options?: RunOptions): Promise<UndoResult>;
}
