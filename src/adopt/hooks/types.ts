import type { Queryable } from '../../database/sql.ts';
import type { Phase } from '../plan-types.ts';

/** An organization that the adoption made. */
export interface HookOrganization {
  readonly id: string;
  /** The bigint of the organization, as text. */
  readonly number: string;
  readonly name: string;
  readonly slug: string;
  /** The key of its row in the root table. */
  readonly key: string;
}

/** What a hook works with. */
export interface HookContext<Organization extends HookOrganization | null = HookOrganization | null> {
  /** The hook's own transaction: it commits together with the record that the hook ran, or not at all. */
  readonly tx: Queryable;
  /** Everything is rolled back afterwards: leave out what a transaction cannot take back. */
  readonly dryRun: boolean;
  readonly phase: Phase;
  readonly organization: Organization;
  /** Tells what was done; kept in `tenantry.adoption_hooks`, so never a secret. */
  log(message: string): void;
  /** Shown once when the command ends, after the commit; kept nowhere. For keys that were made. */
  reveal(text: string): void;
  /** Asks a person, with no transaction open: the hook is run again from its start once the answer is yes. */
  confirm(question: string): Promise<void>;
}

export interface AdoptHook<Organization extends HookOrganization | null> {
  /** What a run remembers it by: unique among the hooks, and the same for ever. */
  readonly name: string;
  /** A question that a person must say yes to before the run changes anything. */
  readonly confirm?: string;
  /** May be run again after a rollback: works through `tx` alone. */
  run(context: HookContext<Organization>): Promise<void> | void;
  /** Takes the work back; called by undo, in reverse order. */
  undo?(context: HookContext<Organization>): Promise<void> | void;
}

export type PhaseHook = AdoptHook<null>;
export type OrganizationHook = AdoptHook<HookOrganization>;
type OneOrMore<T> = T | readonly T[];

export interface AdoptHooks {
  /** Before the first statement of a phase. */
  readonly beforePhase?: { readonly [P in Phase]?: OneOrMore<PhaseHook> };
  /** When a phase is complete, and the hooks of its organizations have run. */
  readonly afterPhase?: { readonly [P in Phase]?: OneOrMore<PhaseHook> };
  /** Once for each organization that the adoption makes, also for those that come later. */
  readonly onOrganization?: OneOrMore<OrganizationHook>;
  /** With `adopt verify`: tells counts, and throws for what is not as it should be. */
  readonly onVerify?: OneOrMore<VerifyHook>;
}

export interface VerifyHook {
  readonly name: string;
  /** Reads only. */
  run(context: Pick<HookContext, 'tx' | 'log'>): Promise<void> | void;
}

/** What a hook of `onVerify` told. */
export interface VerifyReport {
  readonly name: string;
  readonly messages: readonly string[];
  /** Why it is not as it should be. */
  readonly problem: string | null;
}

/**
 * Types the hooks of an adoption; they are checked when the adoption is created.
 *
 * @example
 * ```ts
 * export default defineAdoptHooks({
 *   onOrganization: {
 *     name: 'default settings',
 *     async run({ tx, organization }) {
 *       await tx.query('insert into settings (tenant_id, plan) values ($1, $2)', [organization.id, 'basic']);
 *     },
 *     async undo({ tx, organization }) {
 *       await tx.query('delete from settings where tenant_id = $1', [organization.id]);
 *     },
 *   },
 * });
 * ```
 */
export function defineAdoptHooks(hooks: AdoptHooks): AdoptHooks {
  return hooks;
}

export type HookMoment = 'before' | 'after' | 'organization';

/** One hook in its place. */
export interface HookEntry {
  readonly name: string;
  readonly moment: HookMoment;
  /** The phase whose way back takes it back: that of its moment; organizations are made by `expand`. */
  readonly phase: Phase;
  readonly confirm: string | undefined;
  readonly run: (context: HookContext) => Promise<void> | void;
  readonly undo: ((context: HookContext) => Promise<void> | void) | undefined;
}
