// A process of its own, as one node of an application among several: asks for one access token many times at once.
import { createAudit } from '../../../src/audit/index.ts';
import { withTenant } from '../../../src/context/index.ts';
import { createKernel } from '../../../src/database/kernel.ts';
import { createPool } from '../../../src/pool/index.ts';
import { createKeyring, createOAuth, createVault } from '../../../src/vault/index.ts';

interface Task {
  readonly url: string;
  readonly key: string;
  readonly tenantId: string;
  readonly userId: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly redirectUri: string;
  readonly times: number;
}

const task = JSON.parse(process.env['TASK'] ?? '{}') as Task;
const pool = createPool({ connectionString: task.url, max: 4 });
const kernel = createKernel(pool);
const audit = createAudit(kernel);
const { keys } = createVault(kernel, {
  keyring: createKeyring([{ id: 'k1', key: Buffer.from(task.key, 'hex') }]),
  audit,
});
const { issuer, clientId, clientSecret } = task;
const oauth = createOAuth(
  kernel,
  {
    providers: { local: { issuer, clientId, clientSecret, scopes: ['openid'], allowInsecure: true } },
    redirectUris: [task.redirectUri],
  },
  { keys, audit },
);
process.stdout.write('ready\n');
await new Promise((done) => process.stdin.once('data', done)); // all begin together
const results = await withTenant({ tenantId: task.tenantId, userId: task.userId }, () =>
  Promise.allSettled(Array.from({ length: task.times }, () => oauth.accessToken({ provider: 'local' }))),
);
process.stdout.write(
  `${JSON.stringify(results.map((r) => (r.status === 'fulfilled' ? r.value.expiresAt : String(r.reason))))}\n`,
);
await pool.end();
process.exit(0);
