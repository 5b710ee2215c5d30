import type { AddressInfo } from 'node:net';
import { withSystem } from '../../context/index.ts';
import { warnOfDrift } from '../../database/drift.ts';
import { createKernel } from '../../database/kernel.ts';
import { assertMigrated } from '../../database/migrate.ts';
import { createMembers } from '../../directory/index.ts';
import { TenantryError } from '../../errors.ts';
import { assertRuntimeLogin } from '../../isolation/runtime-login.ts';
import { createPool } from '../../pool/index.ts';
import type { Command } from '../command.ts';
import { loadOptional } from '../optional.ts';

export const serveCommand: Command = {
  name: 'serve',
  summary: 'Serve /healthz, /readyz and /_int/tenancy/ping.',
  description:
    'Refuses to start on a login that can bypass policies, and on a schema of another version.\n' +
    'The token of the internal routes is read from TENANTRY_INTERNAL_TOKEN.',
  examples: [
    'TENANTRY_INTERNAL_TOKEN=$(openssl rand -hex 32) tenantry serve',
    'tenantry serve --port 8080 --host 0.0.0.0',
  ],
  options: {
    port: { type: 'string', value: 'PORT', help: 'Defaults to 4080; 0 takes a free one.' },
    host: { type: 'string', value: 'HOST', help: 'Defaults to 127.0.0.1.' },
  },
  async run(input) {
    const { terminal } = input;
    const { createApp, listen } = await loadOptional(() => import('../../server/index.ts'), 'hono @hono/node-server');
    const config = await input.config();
    const token = process.env['TENANTRY_INTERNAL_TOKEN'];
    if (token === undefined || token === '') {
      throw new TenantryError(
        'TNT_CONFIG_INVALID',
        'TENANTRY_INTERNAL_TOKEN is not set: anybody could ask on behalf of any user.',
        {
          hint: 'Set it, for instance to the output of: openssl rand -hex 32',
        },
      );
    }
    const database = await input.database();
    const pool = createPool({
      connectionString: database.appUrl,
      max: config.max,
      pooler: config.pooler,
      missingContext: config.missingContext,
      connectionTimeoutMillis: 10_000,
      ...(config.multiplex === undefined ? {} : { multiplex: config.multiplex }),
    });
    pool.on('error', () => {}); // an idle connection that ends is replaced; /readyz tells the truth
    const ready = async (): Promise<void> => {
      await withSystem('readiness', () => assertMigrated(pool, { schema: config.schema, onWarning: false }));
      await assertRuntimeLogin(pool, { schema: config.schema, acceptWeakness: config.acceptWeakness });
    };
    try {
      await ready();
      await withSystem('start', () =>
        warnOfDrift(pool, config.schema, (message) => terminal.note(`${terminal.paint('warn', 'warning')} ${message}`)),
      );
      const members = createMembers(createKernel(pool, config.schema));
      const app = createApp({
        token,
        pool,
        ready,
        schema: config.schema,
        verify: (claim) => members.verify(claim),
        onError: logError,
      });
      const server = await listen(app, input.number('port') ?? 4080, input.option('host') ?? '127.0.0.1');
      const { address, port } = server.address() as AddressInfo;
      terminal.line(`Listening on http://${address.includes(':') ? `[${address}]` : address}:${port}`);
      terminal.result({ address, port });
      await new Promise<void>((stop) => {
        if (input.signal.aborted) stop();
        input.signal.addEventListener('abort', () => stop(), { once: true });
      });
      await new Promise<void>((closed) => {
        server.close(() => closed());
        setTimeout(() => closed(), 10_000).unref(); // requests that do not end must not keep us
      });
    } finally {
      await pool.end();
    }
  },
};

/** One JSON line; the message of a server error may quote values, so only its code is written. */
function logError(error: unknown): void {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
  process.stderr.write(
    `${JSON.stringify({ level: 'error', time: new Date().toISOString(), msg: 'request failed', code })}\n`,
  );
}
