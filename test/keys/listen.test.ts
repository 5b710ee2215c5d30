import { EventEmitter } from 'node:events';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { createListener, type ListenClient } from '../../src/database/listen.ts';
import { ownConnection } from '../../src/keys/own-connection.ts';
import { KeyUses } from '../../src/keys/uses.ts';
import { createPool } from '../../src/pool/index.ts';
import { eventually, keysFixture, newCustomer, refusalOf } from './fixture.ts';

const f = keysFixture();
const connect = async (): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: f.db.appUrl });
  await client.connect();
  return client;
};

describe('a listening connection', () => {
  it('hears what is said, is replaced when it is ended, and says both', async () => {
    const said: string[] = [];
    const pids: number[] = [];
    const listener = createListener({
      async connect() {
        const client = await connect();
        pids.push((client as unknown as { processID: number }).processID);
        return client;
      },
      channels: ['one', 'Two words'],
      onNotify: (channel, payload) => said.push(`${channel}: ${payload}`),
      onLost: () => said.push('lost'),
      onRestored: () => said.push('listening'),
    });
    await eventually(() => listener.listening);
    await f.db.query(`select pg_notify('one', 'a'), pg_notify('Two words', ''), pg_notify('three', 'b')`);
    await eventually(() => said.length === 3);
    const root = new pg.Client({ connectionString: f.db.superuserUrl });
    await root.connect();
    await root.query('select pg_terminate_backend($1::int)', [pids[0]]);
    await root.end();
    await eventually(() => pids.length === 2 && listener.listening);
    await f.db.query(`notify one, 'again'`);
    await eventually(() => said.length === 6);
    expect(said).toEqual(['listening', 'one: a', 'Two words: ', 'lost', 'listening', 'one: again']);
    await listener.close();
    expect(listener.listening).toBe(false);
  });

  it('is tried again when it cannot be opened, cannot listen, or no longer answers', async () => {
    const opened: string[] = [];
    const lost: (string | undefined)[] = [];
    /** A connection whose server does what is wanted: no server can be made to fall silent on one statement alone. */
    class Odd extends EventEmitter implements ListenClient {
      readonly #what: string;
      constructor(what: string) {
        super();
        this.#what = what;
      }
      query(text: string): Promise<unknown> {
        if (text.startsWith('listen'))
          return this.#what === 'deaf' ? Promise.reject(new Error('deaf')) : Promise.resolve();
        if (this.#what === 'silent') return new Promise(() => {});
        return this.#what === 'broken' ? Promise.reject(new Error('broken')) : Promise.resolve();
      }
      end(): Promise<void> {
        return Promise.reject(new Error('it has ended already'));
      }
    }
    const kinds = ['refused', 'deaf', 'silent', 'broken', 'good'];
    const listener = createListener({
      async connect() {
        const what = kinds.shift() ?? 'good';
        opened.push(what);
        if (what === 'refused') throw new Error('refused');
        return new Odd(what);
      },
      channels: ['one'],
      onNotify: () => {},
      onLost: (error) => lost.push(error?.message),
      heartbeatMs: 20,
      maxBackoffMs: 5,
    });
    await eventually(() => opened.at(-1) === 'good' && listener.listening);
    await new Promise((done) => setTimeout(done, 100));
    expect([opened, lost]).toEqual([
      ['refused', 'deaf', 'silent', 'broken', 'good'],
      ['the server did not answer', 'broken'],
    ]);
    await listener.close();
  });

  it('that is closed while it opens listens to nothing', async () => {
    const listener = createListener({
      connect,
      channels: ['one'],
      onNotify: () => {},
      onRestored: () => expect.fail(),
    });
    await listener.close();
    expect(listener.listening).toBe(false);
  });
});

describe('the connection of the keys', () => {
  let key: string;
  let id: string;
  beforeAll(async () => {
    const a = await newCustomer(f);
    const made = await a.asAdmin(() => f.t.keys.create({ name: 'server' }));
    [key, id] = [made.key, made.apiKey.id];
  });
  const quietly = async (what: string): Promise<void> => {
    await f.db.query('alter table tenantry.api_keys disable trigger publish_update');
    await f.db.query('alter table tenantry.api_key_lookups disable trigger notify_update');
    await f.db.query(what, [id]);
    await f.db.query('select tenantry.publish_api_keys(tenant_id, array[id]) from tenantry.api_keys where id = $1', [
      id,
    ]);
    await f.db.query('alter table tenantry.api_keys enable trigger publish_update');
    await f.db.query('alter table tenantry.api_key_lookups enable trigger notify_update');
  };

  it('drops everything when it is told so: a change of more keys than a notice names', async () => {
    // a key is kept only once the connection listens, and what is still under way drops it: until one is seen kept
    await eventually(async () => {
      await f.db.query('update tenantry.api_keys set enabled = true where id = $1', [id]);
      await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'accepted');
      await quietly('update tenantry.api_keys set enabled = false where id = $1');
      return (await refusalOf(f.t.keys.verify(key))) === 'accepted';
    });
    await f.db.query(`select pg_notify('tenantry_keys', '*')`);
    await eventually(async () => (await refusalOf(f.t.keys.verify(key))) === 'TNT_KEY_INACTIVE disabled');
    await f.db.query('update tenantry.api_keys set enabled = true where id = $1', [id]);
  });

  it('says all where it would have to name too many', async () => {
    const listening = await connect();
    const heard: string[] = [];
    listening.on('notification', ({ payload }) => heard.push(payload ?? ''));
    await listening.query('listen tenantry_keys');
    await f.db.query(
      `with o as (insert into tenantry.organizations (name, slug) values ('Many', 'many-keys') returning id)
       insert into tenantry.api_keys (tenant_id, name) select o.id, 'k' || i from o, generate_series(1, 700) i`,
    );
    await f.db.query(
      `insert into tenantry.api_key_secrets (tenant_id, key_id, lookup, hint, hash, hash_version)
       select tenant_id, id, substr(md5(id::text), 1, 12), 'sk_live_', sha256(id::text::bytea), 1 from tenantry.api_keys where name ~ '^k[0-9]+$'`,
    );
    await f.db.query(`update tenantry.api_keys set enabled = false where name = 'k1'`);
    await f.db.query(`delete from tenantry.organizations where slug = 'many-keys'`);
    await eventually(() => heard.length >= 2);
    expect(heard).toEqual([expect.stringMatching(/^[0-9a-f]{12}$/), '*']);
    await listening.end();
  });

  it('is made from what the pool was given, the password too', async () => {
    const { hostname, port, username, password, pathname } = new URL(f.db.appUrl);
    const pool = createPool({
      host: hostname,
      port: Number(port),
      user: decodeURIComponent(username),
      password: decodeURIComponent(password),
      database: pathname.slice(1),
      connectionTimeoutMillis: 9_000,
    });
    const open = ownConnection(pool);
    if (open === false) throw new Error('it was not made');
    const client = await open();
    await client.query('select 1');
    await client.end();
    await pool.end();
  });
});

describe('uses of keys', () => {
  it('are written before they become too many', async () => {
    const a = await newCustomer(f);
    const made = [];
    for (let i = 0; i < 2; i += 1) made.push((await a.asAdmin(() => f.t.keys.create({ name: 'k' }))).apiKey);
    const uses = new KeyUses(f.t.kernel, 3_600_000, () => expect.fail(), 2);
    for (const { id: keyId, tenantId } of made) {
      uses.note({ verified: { keyId, tenantId }, usedAt: 0 } as never, performance.now());
    }
    await eventually(async () =>
      (await a.asAdmin(() => f.t.keys.list())).items.every(({ lastUsedAt }) => lastUsedAt !== null),
    );
  });
});
