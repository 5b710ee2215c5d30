export { createDoctor, type Doctor, type DoctorOptions } from './doctor.ts';
export type {
  CheckOutcome,
  DoctorReport,
  Finding,
  Level,
  SuppressedFinding,
  Suppression,
} from './finding.ts';
export { levels } from './finding.ts';
export { exitCodeOf, planFixes } from './fixes.ts';
export { type Check, checks } from './registry.ts';
export { type HumanReportOptions, renderHuman } from './report-human.ts';
export { renderSarif, type SarifLog } from './report-sarif.ts';
export { type FixOutcome, runFixes } from './run-fixes.ts';
