import { version } from '../../version.ts';
import { type DoctorReport, docsOf, type Finding, type Level } from './finding.ts';
import { checks } from './registry.ts';

const sarifLevels = { error: 'error', warn: 'warning', info: 'note' } as const satisfies Record<Level, string>;

/** The part of SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format") that doctor writes. */
export interface SarifLog {
  readonly $schema: string;
  readonly version: '2.1.0';
  readonly runs: readonly SarifRun[];
}

export interface SarifRun {
  readonly tool: {
    readonly driver: { readonly name: string; readonly version: string; readonly rules: readonly SarifRule[] };
  };
  readonly results: readonly SarifResult[];
}

export interface SarifRule {
  readonly id: string;
  readonly name: string;
  readonly shortDescription: { readonly text: string };
  readonly help: { readonly text: string };
  readonly defaultConfiguration: { readonly level: string };
}

export interface SarifResult {
  readonly ruleId: string;
  readonly ruleIndex: number;
  readonly level: string;
  readonly message: { readonly text: string };
  readonly locations: readonly {
    readonly physicalLocation: { readonly artifactLocation: { readonly uri: string } };
    readonly logicalLocations: readonly { readonly fullyQualifiedName: string }[];
  }[];
  readonly partialFingerprints: { readonly 'tenantryKey/v1': string };
  readonly suppressions: readonly { readonly kind: 'external'; readonly justification: string }[];
}

/**
 * The report for code-scanning tools. Pure.
 *
 * @param artifact the file that results hang on, because such tools show none without one; by default the page of the check
 */
export function renderSarif(report: DoctorReport, artifact?: string): SarifLog {
  const result = (finding: Finding, reason?: string): SarifResult => ({
    ruleId: finding.code,
    ruleIndex: checks.findIndex(({ code }) => code === finding.code),
    level: sarifLevels[finding.level],
    message: { text: `${finding.object}: ${finding.detail}\nFix: ${finding.fix}` },
    locations: [
      {
        physicalLocation: { artifactLocation: { uri: artifact ?? finding.docs } },
        logicalLocations: [{ fullyQualifiedName: finding.object }],
      },
    ],
    partialFingerprints: { 'tenantryKey/v1': finding.key },
    // an empty array says "not suppressed", as the standard asks of runs that have suppressions at all
    suppressions: reason === undefined ? [] : [{ kind: 'external', justification: reason }],
  });
  const rules = checks.map(({ code, name, title, level }) => ({
    id: code,
    name,
    shortDescription: { text: title },
    help: { text: `See ${docsOf(code)}.` },
    defaultConfiguration: { level: sarifLevels[level] },
  }));
  return {
    $schema: 'https://json.schemastore.org/sarif-2.1.0.json',
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'tenantry doctor', version, rules } },
        results: [
          ...report.findings.map((finding) => result(finding)),
          ...report.suppressed.map(({ finding, reason }) => result(finding, reason)),
        ],
      },
    ],
  };
}
