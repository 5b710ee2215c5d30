import { type DoctorReport, type Finding, type Level, levels } from './finding.ts';
import { checkOf } from './registry.ts';

export interface HumanReportOptions {
  /** Hide what is milder. Defaults to everything. */
  readonly level?: Level;
  /** At most this many findings of a check and level; the rest is counted. Defaults to 10. */
  readonly limit?: number;
  /** Colors a piece of text; plain by default. */
  readonly paint?: (tone: 'good' | 'bad' | 'warn' | 'dim' | 'bold', text: string) => string;
}

const tones = { error: 'bad', warn: 'warn', info: 'dim' } as const;

/** The report for people, as lines. Pure. */
export function renderHuman(report: DoctorReport, options: HumanReportOptions = {}): string[] {
  const { level = 'info', limit = 10, paint = (_, text) => text } = options;
  const shown = report.findings.filter((finding) => levels.indexOf(finding.level) >= levels.indexOf(level));
  const lines = [
    `${paint('bold', 'tenantry doctor')}  login ${report.login} · PostgreSQL ${report.server.version} · ${plural(ran(report), 'check')}`,
    '',
  ];
  let heading = '';
  for (const finding of shown) {
    const next = `${paint(tones[finding.level], finding.level.padEnd(5))} ${paint('bold', finding.code)} ${checkOf(finding.code).title}`;
    if (next !== heading) lines.push(...(heading === '' ? [] : ['']), next, `      ${paint('dim', finding.docs)}`);
    heading = next;
    const group = shown.filter((other) => other.code === finding.code && other.level === finding.level);
    const place = group.indexOf(finding);
    if (place < limit) lines.push(...renderFinding(finding, paint));
    if (place === limit) {
      lines.push(`      … and ${group.length - limit} more: tenantry doctor --only ${finding.code}`);
    }
  }
  if (heading !== '') lines.push('');
  for (const { finding, reason, until } of report.suppressed) {
    lines.push(paint('dim', `ignored ${finding.key}: ${reason}${until === undefined ? '' : ` (until ${until})`}`));
  }
  for (const { code, outcome, reason } of report.checks) {
    if (outcome === 'skipped') lines.push(paint('dim', `skipped ${code}: ${reason}`));
  }
  lines.push(summary(report, shown.length, paint));
  return lines;
}

function renderFinding(finding: Finding, paint: NonNullable<HumanReportOptions['paint']>): string[] {
  const safe = finding.statement === undefined ? '' : paint('good', '  --fix does this');
  return [
    `      ${finding.object}: ${finding.detail}`,
    `        ${paint('dim', 'fix')} ${finding.fix}${safe}`,
    `        ${paint('dim', `key ${finding.key}`)}`,
  ];
}

function summary(report: DoctorReport, shown: number, paint: NonNullable<HumanReportOptions['paint']>): string {
  const count = (level: Level): number => report.findings.filter((finding) => finding.level === level).length;
  const [errors, warnings, notes] = [count('error'), count('warn'), count('info')];
  const parts = [plural(errors, 'error'), plural(warnings, 'warning'), plural(notes, 'note')].join(', ');
  const hidden = report.findings.length - shown;
  const tone = errors > 0 ? 'bad' : warnings > 0 ? 'warn' : 'good';
  const rest = hidden > 0 ? `, ${hidden} not shown` : '';
  return `${paint(tone, parts)}${rest} in ${(report.duration / 1000).toFixed(1)} s`;
}

const ran = ({ checks }: DoctorReport): number => checks.filter(({ outcome }) => outcome !== 'skipped').length;
const plural = (n: number, word: string): string => `${n} ${word}${n === 1 ? '' : 's'}`;
