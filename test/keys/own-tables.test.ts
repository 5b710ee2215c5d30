import { readFileSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createIsolation } from '../../src/isolation/index.ts';
import { type Customer, keysFixture, newCustomer } from './fixture.ts';

const f = keysFixture({ failures: false });
const guide = readFileSync(new URL('../../docs/guides/namespaces.md', import.meta.url), 'utf8');
/** What the guide says to do, word for word. */
const recipe = /^```sql\n([\s\S]*?)^```/m.exec(guide)?.[1] ?? '';
const refused = { code: '42501' };

describe('a table of the application with organization and namespace', () => {
  let a: Customer;
  let b: Customer;
  let other: string;
  let keys: { live: string; other: string; stranger: string };
  /** The old code: the application's login without a context. */
  let old: pg.Client;
  const insert = `insert into memories (content) values ('x') returning tenant_id as tenant, namespace_id as namespace`;
  const oldInsert = (): Promise<unknown> => old.query(`insert into memories (content) values ('old')`);
  const through = (key: string, text: string): Promise<unknown[]> =>
    f.t.keys.run(key, {}, async () => (await f.pool.query(text)).rows);

  beforeAll(async () => {
    [a, b] = [await newCustomer(f), await newCustomer(f)];
    other = (await a.asAdmin(() => f.t.namespaces.create({ name: 'other', environment: 'staging' }))).id;
    const make = async (of: Customer, namespaceId: string): Promise<string> =>
      (await of.asAdmin(() => f.t.keys.create({ name: 'k', namespaceId, permissions: ['read', 'write'] }))).key;
    keys = {
      live: await make(a, a.namespaceId),
      other: await make(a, other),
      stranger: await make(b, b.namespaceId),
    };
    await f.db.query(
      `create table memories (id int generated always as identity, tenant_id uuid default tenantry.current_tenant(), content text not null)`,
    );
    await f.db.query('grant select, insert, update, delete on memories to tenantry_app');
    old = new pg.Client({ connectionString: f.db.appUrl });
    await old.connect();
  });
  afterAll(() => old?.end());

  it('B9 takes rows without organization or namespace until it is enforced, and none after', async () => {
    const isolation = createIsolation({ admin: f.db.admin });
    await oldInsert();
    await isolation.shadow('public.memories');
    await oldInsert();
    await isolation.enforce('public.memories', { force: true });
    await expect(oldInsert()).rejects.toMatchObject(refused);
    await f.db.query(recipe);
    // the organization alone is not enough either
    await expect(withTenant({ tenantId: a.tenantId }, () => f.pool.query(insert))).rejects.toMatchObject(refused);
    expect(await f.db.query('select tenant_id from memories')).toEqual([{ tenant_id: null }, { tenant_id: null }]);
  });

  it('B8 confines every read and write of a key to its namespace and organization', async () => {
    expect(await through(keys.live, insert)).toEqual([{ tenant: a.tenantId, namespace: a.namespaceId }]);
    expect(await through(keys.other, insert)).toEqual([{ tenant: a.tenantId, namespace: other }]);
    expect(await through(keys.stranger, insert)).toEqual([{ tenant: b.tenantId, namespace: b.namespaceId }]);
    const mine = 'select namespace_id as namespace from memories';
    expect(await through(keys.live, mine)).toEqual([{ namespace: a.namespaceId }]);
    expect(await through(keys.live, `${mine} where namespace_id = '${other}'`)).toEqual([]);
    for (const text of [
      `insert into memories (content, namespace_id) values ('x', '${other}')`,
      `insert into memories (content, namespace_id) values ('x', null)`,
      `insert into memories (content, tenant_id, namespace_id) values ('x', '${b.tenantId}', '${b.namespaceId}')`,
      `update memories set namespace_id = '${other}'`,
      `update memories set namespace_id = null`,
      `update memories set tenant_id = '${b.tenantId}'`,
    ]) {
      await expect(through(keys.live, text), text).rejects.toMatchObject(refused);
    }
    expect(
      await through(keys.live, `update memories set content = 'changed' returning namespace_id as namespace`),
    ).toEqual([{ namespace: a.namespaceId }]);
    expect(await through(keys.live, 'delete from memories returning namespace_id as namespace')).toEqual([
      { namespace: a.namespaceId },
    ]);
    // the organization's own code reaches all of it, and no namespace of another
    await withTenant({ tenantId: a.tenantId }, async () => {
      expect((await f.pool.query(mine)).rows).toEqual([{ namespace: other }]);
      const named = (namespace: string) =>
        f.pool.query('insert into memories (content, namespace_id) values ($1, $2)', ['x', namespace]);
      await named(a.namespaceId);
      await expect(named(b.namespaceId)).rejects.toMatchObject({ code: '23503' });
    });
    expect(await through(keys.stranger, mine)).toEqual([{ namespace: b.namespaceId }]);
  });
});
