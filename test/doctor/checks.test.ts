import { describe, expect, test } from 'vitest';
import { runStatements } from '../../src/database/locks.ts';
import { planFixes } from '../../src/isolation/doctor/index.ts';
import { createCaseDatabase } from './case-database.ts';
import { cases, correctSetup } from './cases/index.ts';

// Each flaw is found under its key and its fixed twin is silent; before the flaw the check is silent too.
describe.each(cases)('$code finds $keys', (one) => {
  test('and is silent on the fixed twin', async () => {
    const { code, keys, broken, fixed, setup, superuser, silent = [], cleanup } = one;
    const place = await createCaseDatabase();
    const as = superuser === true ? 'superuser' : 'admin';
    const examine = () => place.examine({ only: [code, ...silent] });
    const keysOf = async () => (await examine()).findings.map((finding) => finding.key);
    try {
      await place.run(correctSetup);
      if (setup !== undefined) await place.run(setup, as);
      const unspoiled = (await keysOf()).filter((key) => keys.some((own) => key === `${code}:${place.plain(own)}`));

      await place.run(broken, as);
      const report = await examine();
      const found = report.findings.map((finding) => finding.key);

      if (fixed === 'statement')
        await runStatements(place.database.admin, planFixes(report.findings)).catch(asSuperuser);
      else await place.run(fixed, as);

      expect(unspoiled).toEqual([]);
      expect(found).toEqual(expect.arrayContaining(keys.map((key) => `${code}:${place.plain(key)}`)));
      expect(found.filter((key) => !key.startsWith(code))).toEqual([]);
      for (const finding of report.findings) {
        expect(finding.detail).not.toBe('');
        expect(finding.fix).not.toBe('');
      }
      expect(await keysOf()).toEqual([]);

      async function asSuperuser(): Promise<void> {
        for (const { text } of planFixes(report.findings)) await place.run(text, 'superuser');
      }
    } finally {
      if (cleanup !== undefined) await place.run(cleanup, 'superuser');
      await place.drop();
    }
  });
});
