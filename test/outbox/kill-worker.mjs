// One dispatcher in a process of its own, to be killed: test/outbox/kill.test.ts starts it on the compiled sources.
import { pathToFileURL } from 'node:url';
import pg from 'pg';

const { sources, appUrl, adminUrl, key, consumer } = JSON.parse(process.env.TENANTRY_KILL_WORKER);
const load = (path) => import(pathToFileURL(`${sources}/${path}`).href);
const { createPool } = await load('pool/index.js');
const { createTenantry } = await load('tenantry.js');
const { createKeyring } = await load('vault/index.js');

const seen = new pg.Pool({ connectionString: adminUrl, max: 4 });
const pool = createPool({ connectionString: appUrl, max: 6 });
for (const one of [seen, pool]) one.on('error', () => {});
const t = createTenantry({
  pool,
  vault: { keyring: createKeyring([{ id: 'k1', key: Buffer.from(key, 'hex') }]) },
  webhooks: { allowHttp: true, allowPrivate: true, timeoutMs: 2_000 },
});
const dispatcher = t.outbox.dispatcher({
  leaseMs: 400,
  pollMs: 100,
  concurrency: 8,
  webhookRetries: Array(20).fill(50),
  consumers: {
    [consumer]: {
      topics: ['load.*'],
      handle: async ({ tenantId, seq }) => {
        await seen.query('insert into seen (tenant_id, seq) values ($1, $2)', [tenantId, seq]);
      },
    },
  },
});
await dispatcher.start();
process.send?.('started');
