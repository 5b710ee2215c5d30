#!/usr/bin/env node
import { runCommandLine } from './run.ts';

// whoever reads us has read enough (tenantry … | head): 128 + SIGPIPE, as other commands end
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(141);
  });
}

process.exitCode = await runCommandLine(process.argv.slice(2));
