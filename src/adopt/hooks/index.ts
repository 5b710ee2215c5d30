export type { DryRun, HookReport } from './dry-run.ts';
export { loadAdoptHooks } from './load.ts';
export type { Confirm } from './perform.ts';
export type { HookSummary } from './queries.ts';
export {
  type AdoptHooks,
  defineAdoptHooks,
  type HookContext,
  type HookMoment,
  type HookOrganization,
  type OrganizationHook,
  type PhaseHook,
  type VerifyHook,
  type VerifyReport,
} from './types.ts';
