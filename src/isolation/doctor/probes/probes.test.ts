import { describe, expect, test } from 'vitest';
import { driftOf } from './migrations.ts';
import { judge } from './pooler.ts';
import { flawsOf, rowSecurityFlaws } from './server-version.ts';

describe('known flaws of a server version', () => {
  test.each([
    [15_00_00, 5],
    [15_00_03, 4],
    [15_00_04, 3],
    [15_00_13, 1],
    [15_00_14, 0],
    [16_00_04, 2],
    [16_00_10, 0],
    [17_00_00, 2],
    [17_00_05, 1],
    [17_00_06, 0],
    [18_00_00, 0],
    [19_00_00, 0],
  ])('%i has %i', (version, count) => {
    expect(flawsOf(version)).toHaveLength(count);
  });

  test('are dated by a minor version of each main version that had them', () => {
    for (const { cve, fixedIn } of rowSecurityFlaws) {
      expect(cve).toMatch(/^CVE-\d{4}-\d+$/);
      expect(Object.keys(fixedIn).map(Number)).toContain(15);
    }
  });

  test('say which minor version repairs them', () => {
    expect(flawsOf(17_00_05)[0]).toMatchObject({
      object: 'PostgreSQL 17.5',
      key: 'CVE-2025-8713',
      fix: expect.stringContaining('17.6'),
    });
  });
});

describe('what two clients learned of each other', () => {
  test.each([
    [{ shared: false, bled: false }, 'none', []],
    [{ shared: true, bled: false }, 'none', ['warn']],
    [{ shared: true, bled: true }, 'none', [null]],
    [{ shared: true, bled: true }, 'transaction', []],
  ] as const)('%j, declared %s', (observation, declared, levels) => {
    expect(judge(observation, declared).map(({ level }) => level)).toEqual(levels);
  });
});

describe('drift of the migrations', () => {
  const migration = (id: number, checksum: string) => ({ id, name: `m${id}`, up: '', down: '', checksum });
  const known = [migration(1, 'a'), migration(2, 'b')];

  test.each([
    ['nothing applied', [], ['missing']],
    ['all applied', [migration(1, 'a'), migration(2, 'b')], []],
    ['one missing', [migration(1, 'a')], ['missing:2']],
    ['one newer', [migration(1, 'a'), migration(2, 'b'), migration(3, 'c')], ['newer:3']],
    ['one edited', [migration(1, 'x'), migration(2, 'b')], ['edited:1']],
  ])('%s', (_, applied, keys) => {
    expect(driftOf('tenantry', applied, known).map(({ key }) => key)).toEqual(keys);
  });
});
