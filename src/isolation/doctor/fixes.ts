import type { Statement } from '../../database/sql.ts';
import { type DoctorReport, type Finding, type Level, levels } from './finding.ts';
import { checkOf } from './registry.ts';

/** The statements that repair what may be repaired without asking; each once, in the order of the findings. Pure. */
export function planFixes(findings: readonly Finding[]): Statement[] {
  const planned = new Map<string, Statement>();
  for (const { code, key, statement } of findings) {
    if (statement === undefined || planned.has(statement)) continue;
    planned.set(statement, { text: statement, purpose: `${key}: ${checkOf(code).title}` });
  }
  return [...planned.values()];
}

/** The exit code of a run: 3 when something of this level or graver was found, else 0. */
export function exitCodeOf({ findings }: Pick<DoctorReport, 'findings'>, level: Level): 0 | 3 {
  return findings.some((finding) => levels.indexOf(finding.level) >= levels.indexOf(level)) ? 3 : 0;
}
