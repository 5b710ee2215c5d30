import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { checkFiles } from '../../src/generated/checks.ts';
import { type Check, checks, fileOf } from '../../src/isolation/doctor/registry.ts';
import { cases } from './cases/index.ts';
import { codeCaseKeys, codeCases } from './code-cases.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const hasFile = ({ probe, scope }: Check): boolean => probe === undefined && scope !== 'doctor';
const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort();
const codes = sorted(checks.map(({ code }) => code));

describe('the registry of checks', () => {
  test('has each code and each name once', () => {
    expect(codes).toHaveLength(checks.length);
    expect(sorted(checks.map(({ name }) => name))).toHaveLength(checks.length);
  });

  test('and sql/checks name each other, and what is compiled in is what is there', () => {
    const files = sorted(checks.filter(hasFile).map(fileOf));
    expect(sorted(readdirSync(`${root}sql/checks`))).toEqual(files);
    expect(sorted(Object.keys(checkFiles))).toEqual(files);
  });

  test('and docs/checks name each other', () => {
    expect(sorted(readdirSync(`${root}docs/checks`))).toEqual(
      sorted([...codes.map((code) => `${code}.md`), 'README.md']),
    );
  });

  test('and the examples name each other', () => {
    expect(sorted([...cases.map(({ code }) => code), ...Object.keys(codeCases)])).toEqual(codes);
    expect(sorted(Object.keys(codeCaseKeys))).toEqual(sorted(Object.keys(codeCases)));
  });

  test.each(checks.map((check) => [check.code, check] as const))(
    '%s: file and page say what the registry says',
    (code, check) => {
      const page = readFileSync(`${root}docs/checks/${code}.md`, 'utf8');
      expect(page.split('\n')[0]).toBe(`# ${code}: ${check.title}`);
      expect(page).toContain(`Level: **${check.level}**`);
      for (const heading of ['What it finds', 'Why it matters', 'Fix', 'Suppress'])
        expect(page).toContain(`## ${heading}\n`);
      expect(readFileSync(`${root}docs/checks/README.md`, 'utf8')).toContain(
        `| [${code}](${code}.md) | ${check.level} | ${check.title} |`,
      );

      // the example of a suppression names this check, and the configuration takes it
      const entry = /\{ key: '([^']+)', reason: '([^']+)', until: '([^']+)' \}/.exec(page);
      if (code !== 'TD048') {
        expect(entry?.[1]).toMatch(new RegExp(`^${code}:.`));
        const ignore = [{ key: entry?.[1], reason: entry?.[2], until: entry?.[3] }];
        expect(parseConfig({ doctor: { ignore } }, {}).doctor.ignore).toEqual(ignore);
      }

      const file = fileOf(check);
      if (!hasFile(check)) return;
      expect(page).toContain(`sql/checks/${file}`);
      const text = checkFiles[file] ?? '';
      expect(text.split('\n')[0]?.toLowerCase()).toBe(`-- ${code}: ${check.title}`.toLowerCase());
    },
  );
});
