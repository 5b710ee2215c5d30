import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { standBetween } from '../support/between.ts';
import { compileSources } from '../isolation/compiled.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let db: TestDatabase;
beforeAll(async () => {
  db = await createTestDatabase();
});
afterAll(() => db.drop());

const terminate = 'X'.charCodeAt(0);
const field = (kind: string, text: string): string => `${kind}${text}\0`;

/** What a server says that is shut down while a client says goodbye (PostgreSQL docs, "Message Formats", ErrorResponse). */
function shuttingDown(): Buffer {
  const fields =
    field('S', 'FATAL') + field('C', '57P01') + field('M', 'terminating connection due to administrator command');
  const body = Buffer.from(`${fields}\0`);
  const head = Buffer.alloc(5);
  head.write('E');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

describe('D5 the end of a pool', () => {
  it('a server that stops while the pool says goodbye ends no process', async () => {
    let goodbyes = 0;
    // answers each goodbye with the server's last words
    const between = await standBetween(db.appUrl, {
      fromClient: (chunk, client, server) => {
        if (chunk[0] !== terminate) return true;
        goodbyes += 1;
        client.end(shuttingDown());
        server.destroy();
        return false;
      },
    });
    const compiled = await compileSources();
    // in a process of its own: the suite listens to every pool that ends
    const script = `
      import { createPool, withTenant } from './index.js';
      const pool = createPool({ connectionString: process.env.APP, max: 2 });
      const tenantId = '00000000-0000-4000-8000-000000000001';
      await Promise.all([1, 2].map(() => withTenant({ tenantId }, () => pool.query('select 1'))));
      await pool.end();
      await new Promise((done) => setTimeout(done, 200));
      process.stdout.write('alive');`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      cwd: compiled.folder,
      env: { ...process.env, APP: between.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (out += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    between.close();
    expect(goodbyes).toBe(2);
    expect(out).toBe('alive');
    expect(code).toBe(0);
  });
});
