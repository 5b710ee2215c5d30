// Pushes everything to a local Stripe server and ends, unless test/metering/stripe/kill.test.ts kills it on the way.
import { pathToFileURL } from 'node:url';
import { Stripe } from 'stripe';

const { sources, appUrl, operatorUrl, port } = JSON.parse(process.env.TENANTRY_KILL_WORKER);
const load = (path) => import(pathToFileURL(`${sources}/${path}`).href);
const { createOperatorPool, createPool } = await load('pool/index.js');
const { createTenantry } = await load('tenantry.js');
const { createStripePush } = await load('metering/stripe/index.js');

const pool = createPool({ connectionString: appUrl, max: 1 });
const operator = createOperatorPool(operatorUrl, { max: 2 });
const t = createTenantry({ pool, operator });
const push = createStripePush(t, {
  stripe: new Stripe('sk_test_local', { host: '127.0.0.1', port, protocol: 'http', telemetry: false }),
  retries: { delayMs: 1, timeoutMs: 2000 },
  meters: { conversations: { eventName: 'conversations' } },
});
for (const { failed } of [await push.invoices(), await push.usage()]) {
  if (failed.length > 0) throw failed[0].error;
}
await t.close();
await pool.end();
await operator.end();
