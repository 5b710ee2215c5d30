import { once } from 'node:events';
import { createKernel } from '../src/database/kernel.ts';
import { createPostgresRateLimiter } from '../src/metering/rate/index.ts';
import { createPool } from '../src/pool/index.ts';

// One of the processes of rate-limit.processes.ts.

const [task] = (await once(process, 'message')) as [
  { url: string; key: string; limit: number; burst: number; seconds: number },
];
const pool = createPool({ connectionString: task.url, max: 2 });
const limiter = createPostgresRateLimiter(createKernel(pool));
await limiter.take([{ key: `${task.key}/warm`, rate: { limit: 1, periodMs: 1000 } }]);
const going = once(process, 'message');
process.send?.('ready');
await going;

const rate = { limit: task.limit, periodMs: 1000, burst: task.burst };
let asked = 0;
let passed = 0;
const first = Date.now();
const until = first + task.seconds * 1000;
await Promise.all(
  Array.from({ length: 8 }, async () => {
    while (Date.now() < until) {
      asked += 1;
      const { allowed } = await limiter.take([{ key: task.key, rate }]);
      if (allowed) passed += 1;
    }
  }),
);
await pool.end();
process.send?.({ asked, passed, first, last: Date.now() });
process.disconnect();
