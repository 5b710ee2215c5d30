import { describe, expect, test } from 'vitest';
import { kernelPolicies, outlineOf, policyDrift } from './kernel-policies.ts';
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

describe('policies of the kernel', () => {
  test('are read from the up migrations, with what create policy leaves out', () => {
    const files = {
      '0002_b.up.sql': 'create policy own on tenantry.b using (true);',
      '0001_a.up.sql': `-- create policy no on tenantry.a using (true);
        create policy floor on tenantry.a as restrictive for select to PUBLIC
          using (tenant_id = tenantry.current_tenant()) -- and what follows
          with check (a and tenantry.caller_can('x') or not false);`,
      '0001_a.down.sql': 'create policy down on tenantry.a using (true);',
    };
    expect(kernelPolicies(files)).toEqual([
      {
        table: 'a',
        policy: 'floor',
        shape: 'restrictive for select to public: current_tenant and caller_can or not false',
      },
      { table: 'b', policy: 'own', shape: 'permissive for all to public: true' },
    ]);
  });

  test('keep their outline through the parser of the server, and lose it by a changed condition', () => {
    const ours =
      'tenant_id = tenantry.current_tenant() and (a is null or exists (select 1 from tenantry.x where lower(b) = c))';
    const theirs =
      '((tenant_id = other.current_tenant()) AND ((a IS NULL) OR (EXISTS ( SELECT 1 FROM other.x WHERE (lower(x.b) = x.c)))))';
    expect(outlineOf(theirs)).toBe(outlineOf(ours));
    expect(outlineOf(`${ours} or true`)).not.toBe(outlineOf(ours));
    expect(outlineOf('tenant_id = current_setting(1)')).not.toBe(outlineOf('tenant_id = tenantry.current_tenant()'));
  });

  test('that are missing, added or changed are told apart', () => {
    const policy = (name: string, shape = 'x') => ({ table: 't', policy: name, shape });
    const rows = policyDrift(
      'k',
      [policy('a'), policy('b'), policy('c')],
      [policy('a'), policy('b', 'y'), policy('d')],
    );
    expect(rows.map(({ key, detail }) => `${key} ${detail}`)).toEqual([
      'k.t:b policy b is not as Tenantry made it: y',
      'k.t:c policy c is missing',
      'k.t:d policy d is not of Tenantry: it widens or narrows who sees what',
    ]);
  });
});
