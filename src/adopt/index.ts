export { createAdopt } from './adopt.ts';
export type { Adopt, AdoptOptions, PlanResult, RunOptions, RunResult, UndoResult } from './adopt-types.ts';
export type { PlanCheck, PlanDifference } from './check/difference.ts';
export type { Classification, Decisions, TableClass, TableDecision } from './classify.ts';
export { createLegacyLogins, type LegacyLogin, type LegacyLogins } from './compat/legacy-login.ts';
export { type Conflict, describeConflict } from './conflicts.ts';
export { csvHeader, csvLine } from './decisions/csv.ts';
export type { RowFinding } from './decisions/list.ts';
export type { ReleaseOptions, ReleaseResult } from './decisions/release.ts';
export type { RowDecisions } from './decisions/types.ts';
export {
  type AdoptHooks,
  type Confirm,
  type DryRun,
  defineAdoptHooks,
  type HookContext,
  type HookMoment,
  type HookOrganization,
  type HookReport,
  type HookSummary,
  loadAdoptHooks,
  type OrganizationHook,
  type PhaseHook,
  type VerifyHook,
  type VerifyReport,
} from './hooks/index.ts';
export type { ForeignKey, Inspection, TableFacts } from './inspection.ts';
export type { MembershipSummary } from './memberships/check.ts';
export type { MembershipDecisions } from './memberships/types.ts';
export { type PlanDecisions, planAdoption } from './plan.ts';
export { readPlanFile, writePlanFile } from './plan-file.ts';
export { type Phase, type Plan, phases, type Step, type TablePlan } from './plan-types.ts';
export type { PreflightFinding } from './preflight.ts';
export type { RootProposal } from './roots.ts';
export type { AdoptEvent, OnEvent } from './run/events.ts';
export type { Finding } from './run/steps-run.ts';
export { describeDrift } from '../database/drift.ts';
export { compareDumps, dumpSchema } from './schema-dump.ts';
export type { AdoptStatus, CurrentStep, PhaseStatus, Wait } from './status.ts';
export { type MaxLag, readBytes, readMaxLag } from './run/lag.ts';
export { readWindow, type RunWindow } from './run/window.ts';
export { type GeneratedTypes, type TypeFormat, typeFormats, type TypesOptions } from './types/generate.ts';
