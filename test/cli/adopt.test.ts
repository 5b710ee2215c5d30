import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tenantry } from '../support/command-line.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

describe('tenantry adopt', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await createTestDatabase();
  });
  afterAll(() => db.drop());
  const adopt = (...argv: string[]) => tenantry(['adopt', ...argv], { DATABASE_URL: db.adminUrl });

  test('lists its commands, and each explains itself with examples', async () => {
    const { out } = await adopt('--help');
    const commands = [...out.matchAll(/^ {2}adopt ([\w-]+) {2,}\S/gm)].map((m) => m[1]!);
    expect(commands).toEqual(
      expect.arrayContaining(['inspect', 'classify', 'plan', 'run', 'status', 'verify', 'undo', 'types']),
    );
    for (const command of commands) {
      const help = await adopt(command, '--help');
      expect(help.code, command).toBe(0);
      expect(help.out, command).toContain(`Usage: tenantry adopt ${command}`);
      expect(help.out, command).toMatch(
        new RegExp(`Examples:\\n  tenantry adopt ${command}|Examples:\\n.*tenantry adopt ${command}`),
      );
    }
    const plan = (await adopt('plan', '--help')).out;
    for (const option of ['--check', '--accept', '--html OUT', '--sql', '--file FILE', '--json'])
      expect(plan).toContain(option);
  });

  test('says what is missing and the next step, with its exit code', async () => {
    expect(await adopt('plan', '--check', '/nowhere/plan.yaml')).toMatchObject({
      code: 2,
      err: 'error TNT_USAGE: The plan /nowhere/plan.yaml cannot be read.\nnext  Make it with: tenantry adopt plan — or name it: --file FILE\n',
    });
    expect(await adopt('types')).toMatchObject({
      code: 2,
      err: expect.stringContaining('--format must be one of: drizzle, prisma, kysely.'),
    });
    expect(await adopt('types', '--format', 'prisma', '--schema', '/nowhere.prisma')).toMatchObject({ code: 2 });
    expect(await adopt('types', '--format', 'prisma', '--file', '/nowhere/plan.yaml')).toMatchObject({ code: 2 });
    expect(
      await adopt('plan', '--accept', '--file', new URL('../../package.json', import.meta.url).pathname),
    ).toMatchObject({
      code: 1,
      err: expect.stringContaining('TNT_ADOPT_UNKNOWN'),
    });
    expect(JSON.parse((await adopt('status', '--json')).out)).toBeNull();
  });
});
