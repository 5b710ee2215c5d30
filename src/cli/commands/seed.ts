import { createKernel } from '../../database/kernel.ts';
import { seedTestUser } from '../../directory/index.ts';
import { createPool } from '../../pool/index.ts';
import type { Command } from '../command.ts';

export const seedCommand: Command = {
  name: 'seed',
  summary: 'Make a personal organization and workspace for a test user; the counts are asserted.',
  description: 'Runs as the application’s login. Run again: no change.',
  examples: ['tenantry seed', 'tenantry seed --email ann@example.com --name Ann'],
  options: {
    email: { type: 'string', value: 'EMAIL', help: 'Of the test user. Defaults to test@example.com.' },
    name: { type: 'string', value: 'NAME', help: 'Of the test user. Defaults to Test User.' },
  },
  async run(input) {
    const { terminal } = input;
    const { schema } = await input.config();
    const { appUrl } = await input.database();
    const pool = createPool({ connectionString: appUrl, max: 2 });
    try {
      const seeded = await seedTestUser(createKernel(pool, schema), {
        email: input.option('email') ?? 'test@example.com',
        name: input.option('name') ?? 'Test User',
      });
      terminal.line(terminal.paint('good', seeded.created ? 'Created.' : 'Nothing to do: it was there.'));
      terminal.table(
        ['what', 'count'],
        Object.entries(seeded.counts).map(([what, count]) => [what, String(count)]),
      );
      terminal.line(`user ${seeded.userId}`);
      terminal.line(`organization ${seeded.tenantId}`);
      terminal.line(`workspace ${seeded.workspaceId}`);
      terminal.result(seeded);
    } finally {
      await pool.end();
    }
  },
};
