import { rm } from 'node:fs/promises';
import { TenantryError } from '../../errors.ts';
import type { Command } from '../command.ts';
import { writeEnvironmentFile } from '../environment-file.ts';

export const databaseCommand: Command = {
  name: 'database',
  summary: 'Run the embedded PostgreSQL until Ctrl-C, and write its URLs for your application.',
  description:
    'Other commands start the embedded server by themselves and share it; it is shut down by the last that uses it.\n' +
    'This one keeps it running, with the URLs of its logins in .tenantry/database.env.',
  examples: ['tenantry database', 'set -a; . .tenantry/database.env; set +a  # after: tenantry database'],
  async run(input) {
    const { terminal, signal } = input;
    const { databaseUrl, embedded } = await input.config();
    if (databaseUrl !== undefined) {
      throw new TenantryError('TNT_USAGE', 'A database is configured already: the embedded server is not used.', {
        hint: 'Leave DATABASE_URL and databaseUrl out to use the embedded server.',
      });
    }
    const database = await input.database();
    const file = await writeEnvironmentFile(embedded.folder, 'database.env', database);
    const { hostname, port } = new URL(database.appUrl);
    terminal.line(`PostgreSQL runs on ${hostname}:${port} until Ctrl-C. In another terminal:`);
    terminal.line(`   set -a; . ${file}; set +a`);
    terminal.line('   psql "$TENANTRY_ADMIN_URL"');
    terminal.result({ host: hostname, port: Number(port), file });
    try {
      await new Promise<void>((stop) => {
        if (signal.aborted) stop();
        signal.addEventListener('abort', () => stop(), { once: true });
      });
    } finally {
      await rm(file, { force: true });
    }
  },
};
