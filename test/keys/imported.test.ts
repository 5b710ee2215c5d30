import { generateKeyPairSync, createHmac, sign } from 'node:crypto';
import bcrypt from 'bcryptjs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { createLeakHandler, githubReporter, type KeyImport, sharedSecretReporter } from '../../src/keys/index.ts';
import { newKey } from '../../src/keys/format.ts';
import { type Customer, eventually, keysFixture, newCustomer, pepper, refusalOf, unique } from './fixture.ts';

const f = keysFixture({ failures: false });
let a: Customer;
let b: Customer;
beforeAll(async () => {
  [a, b] = [await newCustomer(f), await newCustomer(f)];
});
const secretOf = async (
  keyId: string,
): Promise<{ bcrypt_hash: string | null; hash: Buffer | null; hash_version: number | null }> =>
  (
    await f.db.query<{ bcrypt_hash: string | null; hash: Buffer | null; hash_version: number | null }>(
      'select bcrypt_hash, hash, hash_version from tenantry.api_key_secrets where key_id = $1',
      [keyId],
    )
  )[0]!;

describe('B7 C5 keys that were made elsewhere', () => {
  const importAs = (input: Partial<KeyImport>, of = a) =>
    of.asAdmin(() => f.t.keys.import({ name: unique('old'), ...input }));

  it('are hashed on import and go on verifying, whatever their prefix', async () => {
    for (const key of ['papr_0123456789abcdef', 'no-prefix-at-all', `X-${'y'.repeat(200)}`, 'a.b.c~d!$&()*+,;=:@/?']) {
      const made = await importAs({ key, permissions: ['read', 'write'], namespaceId: a.namespaceId });
      expect(key.startsWith(made.secrets[0]!.hint)).toBe(true);
      expect(made.secrets[0]!.hint.length).toBeLessThanOrEqual(key.length / 3);
      expect(await f.t.keys.verify(key)).toMatchObject({
        keyId: made.id,
        tenantId: a.tenantId,
        permissions: ['read', 'write'],
      });
      expect(await refusalOf(f.t.keys.verify(`${key}x`))).toBe('TNT_KEY_INVALID');
      await a.asAdmin(() => f.t.keys.revoke(made.id));
      expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    }
  });

  it('are known at once in processes that had asked for them before', async () => {
    const key = unique('asked-before-import');
    const other = f.another();
    for (let i = 0; i < 3; i += 1) expect(await refusalOf(other.keys.verify(key))).toBe('TNT_KEY_INVALID');
    await importAs({ key });
    await eventually(async () => (await refusalOf(other.keys.verify(key))) === 'accepted');
  });

  it('that came as a bcrypt hash verify too, and are replaced at their first use, once', async () => {
    const key = `sk_old_${unique('0123456789abcdef')}`;
    const bcryptHash = await bcrypt.hash(key, 4);
    const made = await importAs({ bcryptHash, lookupPrefix: 'sk_old_0', permissions: ['read'] });
    // another with the same prefix: told apart by its hash
    const twin = `sk_old_${unique('0fedcba')}`;
    const madeTwin = await importAs({ bcryptHash: await bcrypt.hash(twin, 4), lookupPrefix: 'sk_old_0' }, b);
    expect(made.secrets[0]!.hint).toBe('sk_old_0');
    expect(await secretOf(made.id)).toEqual({ bcrypt_hash: bcryptHash, hash: null, hash_version: null });
    const results = await Promise.all(Array.from({ length: 10 }, () => f.t.keys.verify(key)));
    expect(new Set(results.map(({ keyId }) => keyId))).toEqual(new Set([made.id]));
    expect(await secretOf(made.id)).toEqual({
      bcrypt_hash: null,
      hash: createHmac('sha256', pepper).update(key).digest(),
      hash_version: 1,
    });
    expect((await f.another({ cache: false }).keys.verify(key)).keyId).toBe(made.id);
    expect((await f.t.keys.verify(twin)).tenantId).toBe(b.tenantId);
    expect(madeTwin.tenantId).toBe(b.tenantId);
    expect(await refusalOf(f.t.keys.verify('sk_old_0-wrong-key'))).toBe('TNT_KEY_INVALID');
  });

  it('are found however many, and however dear, another organization imports under their prefix', async () => {
    const flood = (cost: string, count: number): KeyImport[] =>
      Array.from({ length: count }, (_, i) => ({
        name: `flood ${i}`,
        bcryptHash: `$2b$${cost}$${'a'.repeat(50)}${String(i).padStart(3, '0')}`,
        lookupPrefix: 'shop',
      }));
    await b.asAdmin(() => f.t.keys.importMany([...flood('08', 30), ...flood('12', 10)]));
    const keys = Array.from({ length: 5 }, () => `shop_${unique('0123456789')}`);
    const made = [];
    for (const key of keys)
      made.push(await importAs({ bcryptHash: await bcrypt.hash(key, 8), lookupPrefix: 'shop_0' }));
    const found = f.db.query<{ answer: string }>('select f.answer from tenantry.find_imported_api_keys($1) f(answer)', [
      ['shop', 'shop_0'],
    ]);
    const order = (await found).map(({ answer }) => (JSON.parse(answer) as { tenantId: string }).tenantId);
    expect(order.slice(0, 10).filter((tenantId) => tenantId === a.tenantId)).toHaveLength(5);
    for (const [i, key] of keys.entries()) expect((await f.t.keys.verify(key)).keyId).toBe(made[i]?.id);
    // and nobody makes a wrong text dearer than 64 comparisons of cost 10
    const dear = await b.asAdmin(() => f.t.keys.importMany(flood('12', 10))).catch((e: unknown) => e);
    expect(dear).toMatchObject({ code: 'TNT_INPUT_INVALID', message: expect.stringContaining('lookupPrefix') });
  });

  it('of more than 72 bytes keep their bcrypt hash: behind that it says nothing', async () => {
    const key = `long_${'z'.repeat(100)}`;
    const made = await importAs({ bcryptHash: await bcrypt.hash(key, 4), lookupPrefix: 'long_' });
    expect((await f.t.keys.verify(key)).keyId).toBe(made.id);
    expect((await secretOf(made.id)).bcrypt_hash).not.toBeNull();
  });

  it('can expire before they are used, and are found by an older pepper', async () => {
    const key = unique('expired-import');
    await importAs({
      bcryptHash: await bcrypt.hash(key, 4),
      lookupPrefix: 'expired-',
      expiresAt: new Date(Date.now() - 1000),
    });
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE expired');
    const plain = unique('older-pepper-key');
    const made = await importAs({ key: plain });
    const newer = f.another({
      peppers: [
        { version: 2, secret: `newer ${pepper}` },
        { version: 1, secret: pepper },
      ],
    });
    for (let i = 0; i < 2; i += 1) expect((await newer.keys.verify(plain)).keyId).toBe(made.id);
    await newer.close();
    expect((await secretOf(made.id)).hash_version).toBe(2);
    const newest = f.another({ peppers: [{ version: 2, secret: `newer ${pepper}` }] });
    expect((await newest.keys.verify(plain)).keyId).toBe(made.id);
  });

  it('may be keys of Tenantry, from another installation', async () => {
    const { key } = newKey('sk_live_');
    const made = await importAs({ key });
    expect((await f.t.keys.verify(key)).keyId).toBe(made.id);
    expect(await refusalOf(importAs({ key }, b))).toBe('TNT_CONFLICT');
  });

  it('come many at once, all or none, and can be tried first', async () => {
    const many = [
      { name: 'one', key: unique('batch-key') },
      { name: 'two', key: unique('batch-key') },
    ];
    const count = async (): Promise<number> => (await b.asAdmin(() => f.t.keys.list({ limit: 200 }))).items.length;
    const before = await count();
    expect(await b.asAdmin(() => f.t.keys.importMany(many, { dryRun: true }))).toHaveLength(2);
    expect(await count()).toBe(before);
    expect(await refusalOf(f.t.keys.verify(many[0]!.key))).toBe('TNT_KEY_INVALID');
    const twice = [...many, { name: 'three', key: many[0]!.key }];
    expect(await refusalOf(b.asAdmin(() => f.t.keys.importMany(twice, { dryRun: true })))).toBe('TNT_CONFLICT');
    expect(await refusalOf(b.asAdmin(() => f.t.keys.importMany(twice)))).toBe('TNT_CONFLICT');
    expect(await count()).toBe(before);
    expect(await b.asAdmin(() => f.t.keys.importMany(many))).toHaveLength(2);
    expect(await count()).toBe(before + 2);
    await eventually(async () => (await refusalOf(f.t.keys.verify(many[1]!.key))) === 'accepted');
    const wrong = await b
      .asAdmin(() => f.t.keys.importMany([{ name: 'x', key: 'visible-key' }, { name: '' }]))
      .catch((e: unknown) => e);
    expect(wrong).toMatchObject({ code: 'TNT_INPUT_INVALID', message: expect.stringMatching(/^Key 2: name/) });
  });

  it.each([
    ['neither key nor hash', {}],
    ['both', { key: '0123456789', bcryptHash: `$2b$10$${'a'.repeat(53)}`, lookupPrefix: 'abcd' }],
    ['a hash without a prefix', { bcryptHash: `$2b$10$${'a'.repeat(53)}` }],
    ['a prefix without a hash', { key: '0123456789', lookupPrefix: '0123' }],
    ['a hash of another kind', { bcryptHash: `$argon2id$${'a'.repeat(53)}`, lookupPrefix: 'abcd' }],
    ['a key of control characters', { key: 'abc\u0007defghi' }],
    ['a short key', { key: 'abc' }],
  ])('are refused with %s', async (_, input) => {
    expect(await refusalOf(importAs(input))).toBe('TNT_INPUT_INVALID');
  });
});

describe('leaked keys', () => {
  const make = () => a.asAdmin(() => f.t.keys.create({ name: 'server', namespaceId: a.namespaceId }));
  const secret = 'a secret that the reporter shares';
  const signed = (body: string, by = secret): Record<string, string> => ({
    'x-signature-256': `sha256=${createHmac('sha256', by).update(body).digest('hex')}`,
  });
  const handlerOf = (authenticate = sharedSecretReporter('scanner', secret)) => {
    const handle = createLeakHandler({ keys: f.t.keys, authenticate });
    return (body: string, headers: Record<string, string>) => handle(body, (name) => headers[name]);
  };
  const report = (...tokens: string[]): string =>
    JSON.stringify(tokens.map((token) => ({ token, type: 'tenantry', url: `https://x.example.com/${token}` })));

  it('are revoked for good, and the owner is told by an event and the audit log, without the key', async () => {
    const { key, apiKey } = await make();
    await f.t.keys.verify(key);
    const body = report(key);
    expect(await handlerOf()(body, signed(body))).toEqual({ status: 202, body: '{"message":"Thank you."}' });
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    expect(await a.asAdmin(() => f.t.keys.get(apiKey.id))).toMatchObject({
      revokedReason: 'leaked',
      restorableUntil: null,
    });
    expect(await refusalOf(a.asAdmin(() => f.t.keys.restore(apiKey.id)))).toBe('TNT_CONFLICT');
    const events = await f.db.query('select topic, payload from tenantry.outbox where tenant_id = $1 and topic = $2', [
      a.tenantId,
      'key.leaked',
    ]);
    const about = { reporter: 'scanner', url: 'https://x.example.com/…' };
    expect(events).toEqual([
      {
        topic: 'key.leaked',
        payload: { ...about, keyId: apiKey.id, name: 'server', namespaceId: a.namespaceId, createdBy: a.adminId },
      },
    ]);
    const entries = await f.db.query(
      `select action, details from tenantry.audit_log where resource_id = $1 and action = 'key.leaked'`,
      [apiKey.id],
    );
    expect(entries).toEqual([{ action: 'key.leaked', details: about }]);
    // a report that comes again changes nothing
    await handlerOf()(body, signed(body));
    expect(
      await f.db.query(`select 1 from tenantry.outbox where topic = 'key.leaked' and tenant_id = $1`, [a.tenantId]),
    ).toHaveLength(1);
  });

  it.each([
    ['of more than 72 bytes, of which bcrypt alone is kept', `leak_${'z'.repeat(100)}`, 'leak_'],
    ['that were never used here', 'leaked-before-first-use', 'leaked-b'],
  ])('imported as a bcrypt hash are revoked too: %s', async (_, key, lookupPrefix) => {
    const made = await a.asAdmin(async () =>
      f.t.keys.import({ name: unique('old'), bcryptHash: await bcrypt.hash(key, 4), lookupPrefix }),
    );
    // in the cache already, and asked for anew
    if (key.length > 72) await f.t.keys.verify(key);
    expect(await f.t.keys.reportLeak({ key: `${key.slice(0, 60)}-other`, reporter: 'test' })).toBe(false);
    expect(await f.t.keys.reportLeak({ key, reporter: 'test' })).toBe(true);
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
    expect(await a.asAdmin(() => f.t.keys.get(made.id))).toMatchObject({ revokedReason: 'leaked' });
    expect(await f.t.keys.reportLeak({ key, reporter: 'test' })).toBe(false);
  });

  it('hashed under an older pepper are revoked too, also when they could not be hashed anew', async () => {
    const { key, apiKey } = await make();
    const newer = f.another({
      peppers: [
        { version: 2, secret: `newer ${pepper}` },
        { version: 1, secret: pepper },
      ],
    });
    const rehash = 'execute on function tenantry.rehash_api_key(uuid, uuid, bytea, text, text, bytea, int)';
    await f.db.query(`revoke ${rehash} from tenantry_app`);
    try {
      expect((await newer.keys.verify(key)).keyId).toBe(apiKey.id);
      expect(await newer.keys.reportLeak({ key, reporter: 'test' })).toBe(true);
    } finally {
      await f.db.query(`grant ${rehash} to tenantry_app`);
    }
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
  });

  it('that were revoked before can no longer be restored', async () => {
    const { key, apiKey } = await make();
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id));
    expect(await f.t.keys.reportLeak({ key, reporter: 'ann@example.com' })).toBe(true);
    expect(await refusalOf(a.asAdmin(() => f.t.keys.restore(apiKey.id)))).toBe('TNT_CONFLICT');
  });

  it('are answered as keys that do not exist are', async () => {
    const { key } = await make();
    const handle = handlerOf();
    const answers = [];
    const bare = JSON.stringify([{ token: newKey('sk_live_').key }, { token: 'x', url: null, source: 'commit' }]);
    answers.push(await handle(bare, signed(bare)));
    for (const token of [key, key, newKey('sk_live_').key, `${key}x`, 'nonsense']) {
      const body = report(token);
      answers.push(await handle(body, signed(body)));
    }
    const none = '[]';
    answers.push(await handle(none, signed(none)));
    for (const answer of answers) expect(answer).toEqual({ status: 202, body: '{"message":"Thank you."}' });
  });

  it('are believed of nobody who cannot show who they are', async () => {
    const { key } = await make();
    const body = report(key);
    const handle = handlerOf();
    const wrong: Record<string, string>[] = [
      {},
      { 'x-signature-256': '' },
      { 'x-signature-256': 'sha256=00' },
      signed(body, `${secret}x`),
      signed(`${body} `),
    ];
    for (const headers of wrong) expect((await handle(body, headers)).status).toBe(401);
    expect(await refusalOf(f.t.keys.verify(key))).toBe('accepted');
    expect(() => sharedSecretReporter('scanner', 'short')).toThrow(
      expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }),
    );
  });

  it('are refused in another form, and taken again when the database was away', async () => {
    const handle = handlerOf();
    for (const body of ['{', '{}', '[{"type":"x"}]', '[{"token":""}]'])
      expect((await handle(body, signed(body))).status).toBe(400);
    const long = `[${' '.repeat(1_000_001)}]`;
    expect((await handle(long, signed(long))).status).toBe(413);
    const { key } = await make();
    const body = report(newKey('sk_live_').key, key);
    await f.db.query(
      'revoke execute on function tenantry.revoke_leaked_api_key(uuid, uuid, bytea[], text, jsonb) from tenantry_app',
    );
    expect((await handle(body, signed(body))).status).toBe(503);
    await f.db.query(
      'grant execute on function tenantry.revoke_leaked_api_key(uuid, uuid, bytea[], text, jsonb) to tenantry_app',
    );
    expect((await handle(body, signed(body))).status).toBe(202);
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
  });

  it('come from GitHub signed by one of its keys', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const pem = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const readKeys = vi.fn(async () => [{ key_identifier: 'current', key: pem }]);
    const authenticate = githubReporter(readKeys);
    const { key } = await make();
    const body = report(key);
    const headers = (identifier: string, text = body): Record<string, string> => ({
      'github-public-key-identifier': identifier,
      'github-public-key-signature': sign('sha256', Buffer.from(text), pair.privateKey).toString('base64'),
    });
    const who = (given: Record<string, string>): Promise<string | undefined> =>
      Promise.resolve(authenticate(body, (name) => given[name]));
    expect(await who({})).toBeUndefined();
    expect(await who({ 'github-public-key-identifier': 'current' })).toBeUndefined();
    expect(await who(headers('unknown'))).toBeUndefined();
    expect(await who(headers('current', `${body} `))).toBeUndefined();
    expect(await who(headers('current'))).toBe('GitHub secret scanning');
    // an unknown identifier does not make us ask GitHub again and again
    await who(headers('unknown'));
    expect(readKeys).toHaveBeenCalledTimes(1);
    expect((await handlerOf(authenticate)(body, headers('current'))).status).toBe(202);
    expect(await refusalOf(f.t.keys.verify(key))).toBe('TNT_KEY_INACTIVE revoked');
  });

  it('are checked with the keys that GitHub publishes', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = pair.publicKey.export({ type: 'spki', format: 'pem' }) as string;
    const answer = vi.spyOn(globalThis, 'fetch');
    const headers: Record<string, string> = {
      'github-public-key-identifier': 'one',
      'github-public-key-signature': sign('sha256', Buffer.from('[]'), pair.privateKey).toString('base64'),
    };
    answer.mockResolvedValueOnce(Response.json({ public_keys: [{ key_identifier: 'one', key }] }));
    expect(await githubReporter()('[]', (name) => headers[name])).toBe('GitHub secret scanning');
    answer.mockResolvedValueOnce(new Response('', { status: 500 }));
    await expect(githubReporter()('[]', (name) => headers[name])).rejects.toMatchObject({ code: 'TNT_INTERNAL' });
    answer.mockRestore();
  });

  it('a report that cannot be checked is an error of ours, not an answer', async () => {
    const shut = f.another({ cache: false });
    await f.db.query('revoke execute on function tenantry.find_api_key(text) from tenantry_app');
    await expect(shut.keys.reportLeak({ key: newKey('sk_live_').key, reporter: 'x' })).rejects.toMatchObject({
      code: '42501',
    });
    await f.db.query('grant execute on function tenantry.find_api_key(text) to tenantry_app');
  });
});
