import { afterEach, describe, expect, it } from 'vitest';
import { age, connected, oauthFixture } from './oauth-fixture.ts';
import { start } from './processes/start.ts';

const f = oauthFixture();
afterEach(() => {
  f.provider.delayMs = 0;
});

describe('A9: several processes', () => {
  it('twenty who ask at once, ten in each of two processes, make one call of the provider', async () => {
    f.provider.rotate = true;
    const org = await connected(f);
    const { issuer, clientId, clientSecret, redirectUri } = f.provider;
    const task = {
      issuer,
      clientId,
      clientSecret,
      redirectUri,
      url: f.db.appUrl,
      key: Buffer.from(f.keyBytes).toString('hex'),
      tenantId: org.tenantId,
      userId: org.adminId,
      times: 10,
    };
    const nodes = [0, 1].map(() => start('refresh.ts', { TASK: JSON.stringify(task) }));
    await Promise.all(nodes.map((node) => node.seen('ready')));
    await age(f, org, -5);
    f.provider.delayMs = 300;
    const before = f.provider.calls.get('/token') ?? 0;
    for (const { child } of nodes) child.stdin!.write('go\n');
    expect(await Promise.all(nodes.map((node) => node.ended))).toEqual([0, 0]);
    expect((f.provider.calls.get('/token') ?? 0) - before).toBe(1);
    const answers = nodes.flatMap((node) => JSON.parse(node.output().split('\n')[1]!) as string[]);
    expect(answers).toHaveLength(20);
    expect(new Set(answers).size).toBe(1);
    expect(Date.parse(answers[0]!)).toBeGreaterThan(Date.now());
  }, 30_000);
});
