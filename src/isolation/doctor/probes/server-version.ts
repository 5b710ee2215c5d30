import type { CheckRow } from '../finding.ts';
import type { Probe } from './probe.ts';

/** A flaw that lets row-level security be passed, and the first minor version of each main version without it. */
interface Flaw {
  readonly cve: string;
  readonly what: string;
  readonly fixedIn: Readonly<Record<number, number>>;
}

/** From https://www.postgresql.org/support/security/; versions before 15 are not supported by Tenantry. */
export const rowSecurityFlaws: readonly Flaw[] = [
  {
    cve: 'CVE-2023-2455',
    what: 'policies disregard a change of user after a function was inlined',
    fixedIn: { 15: 3 },
  },
  { cve: 'CVE-2023-39418', what: 'MERGE does not apply UPDATE and SELECT policies', fixedIn: { 15: 4 } },
  {
    cve: 'CVE-2024-4317',
    what: 'pg_stats_ext shows sampled values to those who may not read the table',
    fixedIn: { 15: 7, 16: 3 },
  },
  {
    cve: 'CVE-2024-10976',
    what: 'policies below sub-queries disregard a change of user',
    fixedIn: { 15: 9, 16: 5, 17: 1 },
  },
  {
    cve: 'CVE-2025-8713',
    what: "the planner's statistics of partitions and children show values that policies hide",
    fixedIn: { 15: 14, 16: 10, 17: 6 },
  },
];

/** The flaws of one version, given as `server_version_num` (150002 is 15.2). Pure. */
export function flawsOf(serverNumber: number): CheckRow[] {
  const major = Math.floor(serverNumber / 10_000);
  const minor = serverNumber % 10_000;
  return rowSecurityFlaws
    .filter(({ fixedIn }) => minor < (fixedIn[major] ?? 0))
    .map(({ cve, what, fixedIn }) => ({
      object: `PostgreSQL ${major}.${minor}`,
      level: null,
      detail: `${cve}: ${what}; fixed in ${major}.${fixedIn[major]}`,
      fix: `Update the server to ${major}.${fixedIn[major]} or later: a minor update, without dump and restore.`,
      statement: null,
      key: cve,
    }));
}

export const serverVersion: Probe = async ({ serverNumber }) => flawsOf(serverNumber);
