export {
  type Adopt,
  type AdoptOptions,
  type AdoptStatus,
  createAdopt,
  type PlanResult,
  type RunOptions,
  type RunResult,
  type UndoResult,
} from './adopt.ts';
export type { Classification, Decisions, TableClass, TableDecision } from './classify.ts';
export { type Conflict, describeConflict } from './conflicts.ts';
export type { ForeignKey, Inspection, TableFacts } from './inspection.ts';
export { planAdoption, type PlanDecisions } from './plan.ts';
export { readPlanFile, writePlanFile } from './plan-file.ts';
export { type Phase, phases, type Plan, type Step, type TablePlan } from './plan-types.ts';
export type { PreflightFinding } from './preflight.ts';
export type { RootProposal } from './roots.ts';
export type { AdoptEvent, OnEvent } from './run/events.ts';
export type { Finding } from './run/steps-run.ts';
export { compareDumps, dumpSchema } from './schema-dump.ts';
