import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createOutbox, type WebhookEndpoint } from '../../src/outbox/index.ts';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';
import { type CommandResult, tenantry } from '../support/command-line.ts';
import { type Receiver, startReceiver } from './receiver.ts';

const f = directoryFixture();
let receiver: Receiver;
let folder: string;
let a: TestOrganization;
const keys = `k1:${randomBytes(32).toString('base64')}`;
const run = (...argv: string[]): Promise<CommandResult> =>
  tenantry([...argv, '--config', join(folder, 'tenantry.config.mjs')], {
    DATABASE_URL: f.db.appUrl,
    TENANTRY_ADMIN_URL: f.db.adminUrl,
    TENANTRY_VAULT_KEYS: keys,
  });
const ofA = (...argv: string[]): Promise<CommandResult> => run(...argv, '--organization', a.tenantId);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tenantry-webhooks-'));
  await writeFile(
    join(folder, 'tenantry.config.mjs'),
    `export default { webhooks: { allowHttp: true, allowPrivate: ['127.0.0.1'] } };\n`,
  );
  receiver = await startReceiver();
  a = await newOrganization(f);
});
afterAll(async () => {
  await receiver.close();
  await rm(folder, { recursive: true, force: true });
});

describe('tenantry webhooks', () => {
  it('adds, tests, rotates, replays, shows what is dead, disables and removes', async () => {
    expect((await ofA('webhooks', 'list')).out).toContain('There is none');
    const added = await ofA('webhooks', 'add', receiver.url, '--topic', 'a.*', '--json');
    const { endpoint, secret } = JSON.parse(added.out) as { endpoint: WebhookEndpoint; secret: string };
    expect(secret).toMatch(/^whsec_/);
    expect((await ofA('webhooks', 'list')).out).toContain(endpoint.id);
    expect((await ofA('webhooks', 'list', '--json')).out).not.toContain('whsec_');
    expect(await ofA('webhooks', 'test', endpoint.id)).toMatchObject({
      code: 0,
      out: expect.stringContaining('HTTP 200'),
    });
    receiver.answer = (_, response) => response.writeHead(500).end();
    expect(await ofA('webhooks', 'test', endpoint.id)).toMatchObject({
      code: 1,
      out: expect.stringContaining('HTTP 500'),
    });
    expect((await ofA('webhooks', 'rotate', endpoint.id, '--overlap', '1')).out).toMatch(/^whsec_\S+\n$/);
    const outbox = createOutbox(f.kernel);
    const eventId = await a.asAdmin(() => outbox.emit({ topic: 'a.b' }));
    expect((await ofA('webhooks', 'replay', endpoint.id, '--event', eventId)).out).toContain('1 event will');
    expect((await ofA('webhooks', 'replay', endpoint.id, '--all')).out).toContain('1 event will');
    expect((await ofA('webhooks', 'replay', endpoint.id, '--since', '1h')).out).toContain('1 event will');
    await f.db.query(`update tenantry.outbox_deliveries set state = 'dead' where tenant_id = $1`, [a.tenantId]);
    expect((await ofA('webhooks', 'dead')).out).toContain(eventId);
    expect((await ofA('webhooks', 'dead', '--replay', '--endpoint', endpoint.id)).out).toContain('1 event will');
    expect((await ofA('webhooks', 'dead')).out).toContain('no dead letters');
    expect((await ofA('webhooks', 'log')).out).toContain('replay');
    expect((await ofA('webhooks', 'disable', endpoint.id)).out).toContain('is disabled');
    expect((await ofA('webhooks', 'enable', endpoint.id)).out).toContain('is enabled');
    expect((await ofA('webhooks', 'remove', endpoint.id)).code).toBe(0);
    expect(await ofA('webhooks', 'remove', endpoint.id)).toMatchObject({
      code: 1,
      err: expect.stringContaining('TNT_NOT_FOUND'),
    });
    expect((await ofA('webhooks', 'add', 'http://10.0.0.1')).err).toContain('private address');
    expect((await ofA('webhooks', 'replay', endpoint.id)).code).toBe(2);
    expect((await run('webhooks', 'list')).code).toBe(2);
  });
});
