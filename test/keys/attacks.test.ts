import { randomUUID } from 'node:crypto';
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import { inspect } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { withSystem, withTenant } from '../../src/context/index.ts';
import { randomText } from '../../src/keys/format.ts';
import { checksum, newKey } from '../../src/keys/format.ts';
import { type Customer, keysFixture, newCustomer, pepper, refusalOf } from './fixture.ts';

const f = keysFixture({ failures: false });

describe('attacks on API keys', () => {
  let a: Customer;
  let b: Customer;
  let keyA: string;
  let idA: string;
  let keyB: string;
  let idB: string;
  beforeAll(async () => {
    [a, b] = [await newCustomer(f), await newCustomer(f)];
    const make = (of: Customer) =>
      of.asAdmin(() =>
        f.t.keys.create({ name: 'server', namespaceId: of.namespaceId, permissions: ['read', 'write'] }),
      );
    const [madeA, madeB] = [await make(a), await make(b)];
    [keyA, idA] = [madeA.key, madeA.apiKey.id];
    [keyB, idB] = [madeB.key, madeB.apiKey.id];
  });

  it('B8 a forged tenant with a valid key of another is nobody there', async () => {
    const asked = `select tenantry.caller_principals() as p, tenantry.caller_permissions() as can`;
    const forged = { tenantId: b.tenantId, namespaceId: a.namespaceId, apiKeyId: idA };
    for (const context of [
      forged,
      { ...forged, namespaceId: b.namespaceId },
      { tenantId: b.tenantId, apiKeyId: idA },
    ]) {
      const { rows } = await withTenant(context, () => f.pool.query(asked));
      expect(rows).toEqual([{ p: [], can: [] }]);
    }
    // the same key in its own organization, and one for all namespaces
    const own = await withTenant({ tenantId: a.tenantId, namespaceId: a.namespaceId, apiKeyId: idA }, () =>
      f.pool.query(asked),
    );
    expect(own.rows).toEqual([{ p: [idA], can: ['read', 'write'] }]);
    // its own organization, and a namespace that is not its own
    const other = await a.asAdmin(() => f.t.namespaces.create({ name: 'other', environment: 'production' }));
    for (const namespaceId of [other.id, undefined]) {
      const { rows } = await withTenant({ tenantId: a.tenantId, namespaceId, apiKeyId: idA }, () =>
        f.pool.query(asked),
      );
      expect(rows).toEqual([{ p: [], can: [] }]);
    }
  });

  it('a tenant that a request names besides its key changes nothing', async () => {
    const { context } = await f.t.keys.verify(keyA, {});
    expect(context.tenantId).toBe(a.tenantId);
    const inside = await f.t.keys.run(keyA, {}, () => f.t.kernel.query('select tenantry.current_tenant() as t'));
    expect(inside).toEqual([{ t: a.tenantId }]);
    const crossing = f.t.keys.run(keyA, {}, () =>
      f.t.kernel.transaction(async (tx) => {
        await tx.query('select 1');
        return withTenant({ tenantId: b.tenantId }, () => tx.query('select 1'));
      }),
    );
    expect(await refusalOf(crossing)).toBe('TNT_CONTEXT_CHANGED');
  });

  it('a key that is revoked in mid-request loses its rights at once', async () => {
    const { key, apiKey } = await a.asAdmin(() =>
      f.t.keys.create({ name: 'k', permissions: ['organization.read', 'keys.read'] }),
    );
    const { context } = await f.t.keys.verify(key);
    const mine = async (): Promise<unknown> =>
      (
        await withTenant(context, () =>
          f.pool.query('select tenantry.caller_principals() as p, tenantry.caller_can($1) as can', ['keys.read']),
        )
      ).rows[0];
    expect(await mine()).toEqual({ p: [apiKey.id, a.tenantId], can: true });
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id));
    expect(await mine()).toEqual({ p: [], can: false });
  });

  it('a key stands for itself, not for the organization, and an end user only where it lives', async () => {
    const person = await withTenant({ tenantId: a.tenantId, namespaceId: a.namespaceId }, () =>
      f.t.endUsers.ensure({ externalId: 'customer-1' }),
    );
    const principals = async (context: object): Promise<unknown> =>
      (
        await withTenant({ tenantId: a.tenantId, ...context }, () =>
          f.pool.query('select tenantry.caller_principals() as p'),
        )
      ).rows[0]?.p;
    expect(await principals({ namespaceId: a.namespaceId, apiKeyId: idA, endUserId: person.id })).toEqual([
      idA,
      person.id,
    ]);
    expect(await principals({ namespaceId: a.namespaceId, endUserId: person.id })).toEqual([person.id]);
    expect(await principals({ endUserId: person.id })).toEqual([person.id]);
    expect(await principals({ namespaceId: b.namespaceId, endUserId: person.id })).toEqual([]);
    expect(await principals({ namespaceId: a.namespaceId, apiKeyId: idA, endUserId: randomUUID() })).toEqual([]);
    expect(await principals({})).toEqual([a.tenantId]);
    await expect(withTenant({ tenantId: a.tenantId, userId: a.adminId, apiKeyId: idA }, () => 1)).rejects.toMatchObject(
      {
        code: 'TNT_CONTEXT_INVALID',
      },
    );
  });

  it('a key gives nobody more than it holds, and no member without keys.write gives any', async () => {
    const { key } = await a.asAdmin(() => f.t.keys.create({ name: 'maker', permissions: ['keys.write', 'read'] }));
    const made = await f.t.keys.run(key, {}, () =>
      f.t.keys.create({ name: 'child', permissions: ['read', 'write', 'keys.write'] }),
    );
    expect(made.apiKey.createdBy).toBeNull();
    for (const permissions of [['*'], ['members.write'], ['keys.read']]) {
      expect(await refusalOf(f.t.keys.run(key, {}, () => f.t.keys.create({ name: 'x', permissions })))).toBe(
        'TNT_FORBIDDEN',
      );
      expect(await refusalOf(f.t.keys.run(key, {}, () => f.t.keys.update(made.apiKey.id, { permissions })))).toBe(
        'TNT_FORBIDDEN',
      );
    }
    const member = await a.member();
    const asMember = <T>(fn: () => Promise<T>): Promise<T> => withTenant({ tenantId: a.tenantId, userId: member }, fn);
    expect(await refusalOf(asMember(() => f.t.keys.create({ name: 'x' })))).toBe('TNT_FORBIDDEN');
    expect((await asMember(() => f.t.keys.list())).items).toEqual([]);
    expect(await asMember(() => f.t.keys.revoke(idA))).toBeNull();
    // a key that is confined to a namespace makes none outside of it
    const confined = await a.asAdmin(() =>
      f.t.keys.create({ name: 'confined', namespaceId: a.namespaceId, permissions: ['keys.write'] }),
    );
    expect(await refusalOf(f.t.keys.run(confined.key, {}, () => f.t.keys.create({ name: 'wide' })))).toBe(
      'TNT_FORBIDDEN',
    );
    expect(await f.t.keys.run(confined.key, {}, () => f.t.keys.get(made.apiKey.id))).toBeNull();
  });

  it('another organization’s key is not there: by id, list, change or through the tables', async () => {
    await b.asAdmin(async () => {
      expect(await f.t.keys.get(idA)).toBeNull();
      expect((await f.t.keys.list()).items.map(({ id }) => id)).not.toContain(idA);
      expect(await f.t.keys.rotate(idA)).toBeNull();
      expect(await f.t.keys.revoke(idA)).toBeNull();
      expect(await refusalOf(f.t.keys.setAcl(idA, { [b.adminId]: { read: true, write: true } }))).toBe('TNT_NOT_FOUND');
      for (const table of ['api_keys', 'api_key_uses', 'api_key_acl']) {
        const { rows } = await f.pool.query(`select * from tenantry.${table} where tenant_id <> $1`, [b.tenantId]);
        expect(rows).toEqual([]);
      }
      const secrets = await f.pool.query('select id, key_id, hint from tenantry.api_key_secrets');
      expect(secrets.rows.map(({ key_id }) => key_id)).toEqual([idB]);
    });
    // a reference across tenants cannot be written
    await expect(
      f.db.query(
        `insert into tenantry.api_key_secrets (tenant_id, key_id, hint, lookup, hash, hash_version) values ($1, $2, 'x', 'abcdefgh', sha256('x'), 1)`,
        [b.tenantId, idA],
      ),
    ).rejects.toMatchObject({ code: '23503' });
  });

  it.each([
    ['hash', 'select hash from tenantry.api_key_secrets'],
    ['bcrypt_hash', 'select bcrypt_hash from tenantry.api_key_secrets'],
    ['all of a secret', 'select * from tenantry.api_key_secrets'],
    ['the look-up', 'select * from tenantry.api_key_lookups'],
    ['the answers', 'select * from tenantry.api_key_answers'],
    ['a hash of its own', `update tenantry.api_key_secrets set hash = sha256('x')`],
    ['an id of its own', `insert into tenantry.api_keys (tenant_id, id, name) values ($1, gen_random_uuid(), 'x')`],
    ['whose it is', `update tenantry.api_keys set tenant_id = $1`],
    ['when it was used', `update tenantry.api_key_uses set last_used_at = now()`],
    ['publishing', `select tenantry.publish_api_keys($1, '{}')`],
  ])('the application’s login cannot read or write %s', async (_, text) => {
    const values = text.includes('$1') ? [a.tenantId] : [];
    await expect(a.asAdmin(() => f.pool.query(text, values))).rejects.toMatchObject({ code: '42501' });
  });

  it('a revocation is not put off by hand', async () => {
    const { apiKey } = await a.asAdmin(() => f.t.keys.create({ name: 'k' }));
    await a.asAdmin(() => f.t.keys.revoke(apiKey.id, { restoreWithinMs: 60_000 }));
    const set = (what: string): Promise<unknown> =>
      a.asAdmin(() => f.pool.query(`update tenantry.api_keys set ${what} where id = $1`, [apiKey.id]));
    await expect(set(`restorable_until = now() + interval '1 year'`)).rejects.toMatchObject({
      constraint: 'api_keys_restorable',
    });
    await set('restorable_until = null');
    await expect(set(`restorable_until = now()`)).rejects.toMatchObject({ constraint: 'api_keys_restorable' });
    await expect(set('revoked_at = null, revoked_reason = null')).rejects.toMatchObject({
      constraint: 'api_keys_restorable',
    });
  });

  it('wrong keys get one answer, mistyped, unknown or with another secret', async () => {
    const answers = new Set<string>();
    const forged = (() => {
      const text = keyA.slice(0, 20) + randomText(43);
      return text + checksum(text);
    })();
    for (const wrong of [
      `${keyA.slice(0, -1)}${keyA.endsWith('0') ? '1' : '0'}`,
      newKey('sk_live_').key,
      forged,
      keyA.replace('sk_live_', 'sk_test_'),
      'nonsense',
      '',
      'x'.repeat(100_000),
      `'; drop table tenantry.api_keys; --`,
      '\u0000'.repeat(69),
      'ключ-ключ-ключ',
    ]) {
      const error = await f.t.keys.verify(wrong).catch((thrown: unknown) => thrown);
      answers.add(JSON.stringify(error));
    }
    expect([...answers]).toEqual([
      JSON.stringify({
        code: 'TNT_KEY_INVALID',
        message: 'The API key is not valid.',
        details: null,
        hint: 'Send a valid key, whole, as "Authorization: Bearer …".',
      }),
    ]);
  });

  it('the time of a wrong key does not depend on where it is wrong: hashes are compared, all of them, in constant time', async () => {
    const { timingSafeEqual } = crypto;
    const compared: [number, number][] = [];
    crypto.timingSafeEqual = (left, right) => {
      compared.push([left.byteLength, right.byteLength]);
      return timingSafeEqual(left, right);
    };
    syncBuiltinESMExports();
    try {
      const body = keyA.slice(0, -6);
      const wrongAt = (at: number): string => {
        const text = body.slice(0, at) + (body[at] === 'A' ? 'B' : 'A') + body.slice(at + 1);
        return text + checksum(text);
      };
      // first and last character of the secret, and a key that does not exist at all
      for (const wrong of [wrongAt(20), wrongAt(41), wrongAt(62), newKey('sk_live_').key]) {
        compared.length = 0;
        expect(await refusalOf(f.t.keys.verify(wrong))).toBe('TNT_KEY_INVALID');
        expect(compared).toEqual([[32, 32]]);
      }
      compared.length = 0;
      await f.t.keys.verify(keyA);
      expect(compared).toEqual([[32, 32]]);
    } finally {
      crypto.timingSafeEqual = timingSafeEqual;
      syncBuiltinESMExports();
    }
  });

  it('C9 a widget key opens widget routes from its origins alone', async () => {
    const { key } = await a.asAdmin(() =>
      f.t.keys.create({ name: 'widget', kind: 'widget', allowedOrigins: ['https://shop.example.com'] }),
    );
    const origin = 'https://shop.example.com';
    expect(await refusalOf(f.t.keys.verify(key, { origin }))).toBe('TNT_KEY_REFUSED kind');
    const widget = { kinds: ['widget'] } as const;
    expect(await refusalOf(f.t.keys.verify(key, { ...widget, origin }))).toBe('accepted');
    for (const other of [
      undefined,
      'null',
      'https://evil.example.com',
      'https://shop.example.com.evil.com',
      'http://shop.example.com',
    ]) {
      expect(await refusalOf(f.t.keys.verify(key, { ...widget, origin: other }))).toBe('TNT_KEY_REFUSED origin');
    }
    expect(await refusalOf(f.t.keys.verify(keyA, widget))).toBe('TNT_KEY_REFUSED kind');
  });

  it('an address outside of the allowed ones is refused', async () => {
    const { key } = await a.asAdmin(() =>
      f.t.keys.create({ name: 'k', allowedAddresses: ['192.0.2.0/24', '2001:db8::/32'] }),
    );
    for (const address of ['192.0.2.9', '::ffff:192.0.2.9', '2001:db8::1']) {
      expect(await refusalOf(f.t.keys.verify(key, { address }))).toBe('accepted');
    }
    for (const address of [undefined, '', '198.51.100.1', '192.0.2.9, 198.51.100.1', '2001:db9::1']) {
      expect(await refusalOf(f.t.keys.verify(key, { address }))).toBe('TNT_KEY_REFUSED address');
    }
  });

  it('B4 a key without a permission is refused what needs it', async () => {
    const { key } = await a.asAdmin(() => f.t.keys.create({ name: 'k', permissions: ['read'] }));
    expect(await refusalOf(f.t.keys.verify(key, { permission: 'read' }))).toBe('accepted');
    for (const permission of ['write', 'delete', 'rea', 'read.all']) {
      expect(await refusalOf(f.t.keys.verify(key, { permission }))).toBe('TNT_KEY_REFUSED permission');
    }
    const { key: all } = await a.asAdmin(() => f.t.keys.create({ name: 'k', permissions: ['*'] }));
    expect(await refusalOf(f.t.keys.verify(all, { permission: 'anything' }))).toBe('accepted');
  });

  it('guessing is turned away by address, and right keys in the cache go on', async () => {
    const t = f.another({ failures: { limit: 3, periodMs: 60_000 } });
    await t.keys.verify(keyA, { address: '192.0.2.1' });
    const codes: string[] = [];
    for (let i = 0; i < 6; i += 1)
      codes.push(await refusalOf(t.keys.verify(newKey('sk_live_').key, { address: '192.0.2.1' })));
    expect(codes).toEqual([
      ...Array.from({ length: 4 }, () => 'TNT_KEY_INVALID'),
      'TNT_RATE_LIMITED',
      'TNT_RATE_LIMITED',
    ]);
    const mistyped = newKey('sk_live_').key.replace(/.$/, (last) => (last === '0' ? '1' : '0'));
    expect(await refusalOf(t.keys.verify(mistyped, { address: '192.0.2.1' }))).toBe('TNT_RATE_LIMITED');
    expect(await refusalOf(t.keys.verify(newKey('sk_live_').key, { address: '192.0.2.2' }))).toBe('TNT_KEY_INVALID');
  });

  it('no secret is in an error, an event, the audit log, the database or what is printed of the service', async () => {
    const { key, apiKey } = await a.asAdmin(() => f.t.keys.create({ name: 'scan me' }));
    const rotated = await a.asAdmin(() => f.t.keys.rotate(apiKey.id, { overlapMs: 0 }));
    const secrets = [key, rotated!.key, keyA, keyB].map((text) => text.slice(20, 63));
    const errors: unknown[] = [];
    const collect = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => errors.push(error));
    await collect(f.t.keys.verify(key));
    await collect(f.t.keys.verify(`${keyA}x`));
    await collect(f.t.keys.verify(keyA, { permission: 'delete' }));
    await collect(f.t.keys.verify(keyA, { kinds: ['widget'] }));
    await collect(a.asAdmin(() => f.t.keys.import({ name: 'again', key: keyA })));
    await collect(b.asAdmin(() => f.t.keys.import({ name: 'again', key: keyA, color: key } as never)));
    await collect(withSystem('test', () => f.t.keys.create({ name: 'nowhere' })));
    const shut = f.another({ cache: false });
    await f.db.query('revoke execute on function tenantry.find_api_key(text) from tenantry_app');
    await collect(shut.keys.verify(keyA));
    await f.db.query('grant execute on function tenantry.find_api_key(text) to tenantry_app');
    expect(errors.length).toBe(8);
    const printed = errors.map(
      (error) => `${inspect(error, { depth: 10 })} ${JSON.stringify(error)} ${String((error as Error).stack)}`,
    );
    const tables = await f.db.query<{ name: string }>(
      `select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = 'tenantry' and c.relkind in ('r', 'p')`,
    );
    const dumped: string[] = [];
    for (const { name } of tables)
      dumped.push(JSON.stringify(await f.db.query(`select row_to_json(t)::text as r from ${name} t`)));
    const all = [...printed, ...dumped, inspect(f.t.keys, { depth: 20, showHidden: true })].join('\n');
    expect(all).toContain('scan me');
    for (const secret of [...secrets, pepper]) expect(all.includes(secret)).toBe(false);
  });
});

describe('F4 B12 look-ups of keys use an index', () => {
  it('by the public part, by prefix, and in the lists of an organization', async () => {
    const plan = async (text: string, values: unknown[]): Promise<string> => {
      const client = await f.db.admin.connect();
      try {
        await client.query('begin');
        await client.query('set local enable_seqscan = off');
        const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${text}`, values);
        return rows.map((row) => row['QUERY PLAN']).join('\n');
      } finally {
        await client.query('rollback');
        client.release();
      }
    };
    expect(await plan('select answer from tenantry.api_key_lookups where lookup = $1', ['abcdefghijkl'])).toContain(
      'api_key_lookups_pkey',
    );
    expect(
      await plan('select answer from tenantry.api_key_lookups where lookup_prefix = any ($1::text[])', [['old_']]),
    ).toContain('api_key_lookups_prefix_idx');
    const tenant = randomUUID();
    expect(
      await plan('select * from tenantry.api_keys where tenant_id = $1 order by id desc limit 50', [tenant]),
    ).toContain('api_keys_pkey');
    expect(
      await plan(
        'select * from tenantry.api_keys where tenant_id = $1 and namespace_id = $2 order by id desc limit 50',
        [tenant, tenant],
      ),
    ).toMatch(/api_keys_namespace_id_idx|api_keys_pkey/);
    expect(
      await plan('select * from tenantry.api_key_secrets where tenant_id = $1 and key_id = $2', [tenant, tenant]),
    ).toContain('api_key_secrets_key_id_idx');
    expect(
      await plan('select * from tenantry.api_key_acl where tenant_id = $1 and principal_id = $2', [tenant, tenant]),
    ).toContain('api_key_acl_principal_id_idx');
  });
});
