import { docsOf, type Finding, type SuppressedFinding, type Suppression } from './finding.ts';
import { checkOf } from './registry.ts';

/**
 * Takes away what is known, and adds a finding for each entry that is past its last day. Pure.
 *
 * @param today YYYY-MM-DD
 */
export function applySuppressions(
  found: readonly Finding[],
  ignore: readonly Suppression[],
  today: string,
): { findings: Finding[]; suppressed: SuppressedFinding[] } {
  const [current, expired] = [ignore.filter(isCurrent), ignore.filter((entry) => !isCurrent(entry))];
  const suppressed: SuppressedFinding[] = [];
  const findings: Finding[] = [];
  for (const finding of found) {
    const entry = current.find(({ key }) => key === finding.key);
    if (entry === undefined) findings.push(finding);
    else {
      const { reason, until } = entry;
      suppressed.push({ finding, reason, ...(until === undefined ? {} : { until }) });
    }
  }
  findings.push(...expired.map(expiredFinding));
  return { findings, suppressed };

  function isCurrent({ until }: Suppression): boolean {
    return until === undefined || until >= today; // ISO dates compare as text
  }
}

function expiredFinding({ key, reason, until }: Suppression): Finding {
  const { code, level } = checkOf('TD048');
  return {
    code,
    level,
    key: `${code}:${key}`,
    object: `suppression of ${key}`,
    detail: `it ended on ${until}; its reason was: ${reason}`,
    fix: 'Repair the finding, or decide again and write a new last day; remove the entry if the finding is gone.',
    docs: docsOf(code),
  };
}
