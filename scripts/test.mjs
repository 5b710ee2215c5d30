// npm test: installs what is missing, then runs the whole suite on the embedded PostgreSQL
// (TEST_DATABASE_URL or TENANTRY_TEST_PG=15 choose another one). Arguments go to vitest.
import { ensureInstalled, run } from './ensure-installed.mjs';

ensureInstalled();
process.exitCode = run('node_modules/vitest/vitest.mjs', ['run', ...process.argv.slice(2)]);
