// npm start: the main job. A single-tenant database becomes multi-tenant while its application keeps running.
import { buildIfStale } from './build-if-stale.mjs';
import { ensureInstalled, run } from './ensure-installed.mjs';

ensureInstalled();
buildIfStale();
process.exitCode = run('dist/cli/main.js', ['demo', ...process.argv.slice(2)]);
