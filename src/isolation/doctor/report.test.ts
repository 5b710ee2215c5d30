import { describe, expect, test } from 'vitest';
import type { DoctorReport, Finding } from './finding.ts';
import { exitCodeOf, planFixes } from './fixes.ts';
import { checks } from './registry.ts';
import { renderHuman } from './report-human.ts';
import { renderSarif } from './report-sarif.ts';
import { applySuppressions } from './suppressions.ts';

const finding = (code: string, level: Finding['level'], key: string, more: Partial<Finding> = {}): Finding => ({
  code,
  level,
  key: `${code}:${key}`,
  object: key,
  detail: 'what is wrong',
  fix: 'what to do',
  docs: `docs/checks/${code}.md`,
  ...more,
});

const truncate = finding('TD018', 'error', 'public.orders', { fix: 'revoke it', statement: 'revoke it' });
const trigger = finding('TD018', 'warn', 'public.lines');
const again = finding('TD018', 'error', 'public.parts');
const leaky = finding('TD032', 'info', 'public.orders');

const report = (more: Partial<DoctorReport> = {}): DoctorReport => ({
  findings: [truncate, again, trigger, leaky],
  suppressed: [
    { finding: finding('TD040', 'warn', 'shop'), reason: 'the import needs it', until: '2027-03-31' },
    { finding: finding('TD021', 'warn', 'cdc'), reason: 'read by the warehouse' },
  ],
  checks: [
    { code: 'TD018', title: 'A privilege', outcome: 'found' },
    { code: 'TD001', title: 'The login', outcome: 'silent' },
    { code: 'TD035', title: 'Statistics', outcome: 'skipped', reason: 'it needs the migrating login' },
  ],
  server: { version: '18.4', number: 180_004 },
  login: 'app',
  duration: 1234,
  ...more,
});

describe('the report for people', () => {
  test('groups by gravity and check, marks what --fix does and ends in the counts', () => {
    expect(renderHuman(report())).toEqual([
      'tenantry doctor  login app · PostgreSQL 18.4 · 2 checks',
      '',
      'error TD018 A privilege that policies do not filter: TRUNCATE, REFERENCES, TRIGGER',
      '      docs/checks/TD018.md',
      '      public.orders: what is wrong',
      '        fix revoke it  --fix does this',
      '        key TD018:public.orders',
      '      public.parts: what is wrong',
      '        fix what to do',
      '        key TD018:public.parts',
      '',
      'warn  TD018 A privilege that policies do not filter: TRUNCATE, REFERENCES, TRIGGER',
      '      docs/checks/TD018.md',
      '      public.lines: what is wrong',
      '        fix what to do',
      '        key TD018:public.lines',
      '',
      'info  TD032 An index that policies make unusable',
      '      docs/checks/TD032.md',
      '      public.orders: what is wrong',
      '        fix what to do',
      '        key TD032:public.orders',
      '',
      'ignored TD040:shop: the import needs it (until 2027-03-31)',
      'ignored TD021:cdc: read by the warehouse',
      'skipped TD035: it needs the migrating login',
      '2 errors, 1 warning, 1 note in 1.2 s',
    ]);
  });

  test('shows the first of many and says how to see the rest', () => {
    const many = Array.from({ length: 12 }, (_, i) => finding('TD018', 'error', `t${i}`));
    const lines = renderHuman(report({ findings: [...many, trigger] }));
    expect(lines.filter((line) => line.includes('what is wrong'))).toHaveLength(11);
    expect(lines).toContain('      … and 2 more: tenantry doctor --only TD018');
    expect(renderHuman(report({ findings: many }), { limit: 12 }).join()).not.toContain('more:');
  });

  test('hides what is milder than asked for, but counts it', () => {
    const lines = renderHuman(report(), { level: 'error' });
    expect(lines.join('\n')).not.toContain('public.lines');
    expect(lines.at(-1)).toBe('2 errors, 1 warning, 1 note, 2 not shown in 1.2 s');
  });

  test('says so when there is nothing', () => {
    expect(renderHuman(report({ findings: [], suppressed: [], checks: [] }))).toEqual([
      'tenantry doctor  login app · PostgreSQL 18.4 · 0 checks',
      '',
      '0 errors, 0 warnings, 0 notes in 1.2 s',
    ]);
  });

  test('colors by gravity', () => {
    const painted = (findings: Finding[]): string =>
      renderHuman(report({ findings, suppressed: [] }), { paint: (tone, text) => `<${tone}>${text}` }).at(-1) ?? '';
    expect(painted([truncate])).toMatch(/^<bad>/);
    expect(painted([trigger])).toMatch(/^<warn>/);
    expect(painted([leaky])).toMatch(/^<good>/);
  });
});

describe('the report as SARIF 2.1.0', () => {
  const log = renderSarif(report());
  const run = log.runs[0];

  test('names the version of the format and every check as a rule', () => {
    expect(log.version).toBe('2.1.0');
    expect(run?.tool.driver.rules.map(({ id }) => id)).toEqual(checks.map(({ code }) => code));
  });

  test('maps levels, keeps keys as fingerprints and points each result at its rule', () => {
    expect(run?.results.map(({ ruleId, level }) => `${ruleId} ${level}`)).toEqual([
      'TD018 error',
      'TD018 error',
      'TD018 warning',
      'TD032 note',
      'TD040 warning',
      'TD021 warning',
    ]);
    for (const result of run?.results ?? []) {
      expect(run?.tool.driver.rules[result.ruleIndex]?.id).toBe(result.ruleId);
      expect(result.partialFingerprints['tenantryKey/v1']).toMatch(new RegExp(`^${result.ruleId}:`));
      expect(result.message.text).toContain('Fix: ');
    }
  });

  test('carries suppressions with their reasons, and none on what is open', () => {
    expect(run?.results.map(({ suppressions }) => suppressions.map(({ justification }) => justification))).toEqual([
      [],
      [],
      [],
      [],
      ['the import needs it'],
      ['read by the warehouse'],
    ]);
  });

  test('hangs results on the page of the check, or on the file that it is given', () => {
    const uri = (sarif: typeof log): string | undefined =>
      sarif.runs[0]?.results[0]?.locations[0]?.physicalLocation.artifactLocation.uri;
    expect(uri(log)).toBe('docs/checks/TD018.md');
    expect(uri(renderSarif(report(), 'db/schema.sql'))).toBe('db/schema.sql');
  });
});

test('planned fixes are the safe statements, each once', () => {
  const twice = finding('TD018', 'error', 'public.others', { statement: 'revoke it' });
  expect(planFixes([trigger, truncate, twice])).toEqual([
    {
      text: 'revoke it',
      purpose: 'TD018:public.orders: A privilege that policies do not filter: TRUNCATE, REFERENCES, TRIGGER',
    },
  ]);
});

test.each([
  ['error', [trigger, leaky], 0],
  ['warn', [trigger, leaky], 3],
  ['warn', [leaky], 0],
  ['info', [leaky], 3],
  ['info', [], 0],
] as const)('from level %s on the exit code follows the findings', (level, findings, code) => {
  expect(exitCodeOf({ findings }, level)).toBe(code);
});

describe('suppressions', () => {
  const entry = { key: truncate.key, reason: 'known' };

  test('without a last day hold for good', () => {
    expect(applySuppressions([truncate], [entry], '2099-01-01')).toEqual({
      findings: [],
      suppressed: [{ finding: truncate, reason: 'known' }],
    });
  });

  test('hold on their last day and are findings on the next, whether or not they were of use', () => {
    const ended = { ...entry, until: '2026-06-30' };
    expect(applySuppressions([truncate], [ended], '2026-06-30').findings).toEqual([]);
    expect(applySuppressions([truncate], [ended], '2026-07-01').findings.map(({ key }) => key)).toEqual([
      truncate.key,
      `TD048:${truncate.key}`,
    ]);
    expect(applySuppressions([], [ended], '2026-07-01').findings).toHaveLength(1);
  });

  test('name one finding each: neither a code nor the start of a key', () => {
    for (const key of ['TD018', 'TD018:public', `${truncate.key} `]) {
      expect(applySuppressions([truncate], [{ key, reason: 'all' }], '2026-01-01').findings).toEqual([truncate]);
    }
  });
});
