import { beforeAll, describe, expect, it } from 'vitest';
import type { TenantPool } from '../../src/pool/index.ts';
import { asA, asB, count, poolFixture, protectedTable, tenantA, tenantB } from './fixture.ts';

const at = poolFixture();

beforeAll(async () => {
  await at.database.query(protectedTable('things', 'id int, label text'));
  await at.database.query(
    "insert into things (tenant_id, id, label) select $1::uuid, i, 'x' from generate_series(1, 3) i",
    [tenantA],
  );
});

interface Prepared {
  name: string;
  statement: string;
}

/** What one connection has prepared, without the pool's own statements. */
async function prepared(pool: TenantPool): Promise<Prepared[]> {
  const text =
    "/* look */ select name, statement from pg_prepared_statements where name !~ '^tenantry_context' order by 2";
  const { rows } = await asA(
    () => pool.query({ text, naming: false } as never) as unknown as Promise<{ rows: Prepared[] }>,
  );
  return rows;
}

describe('automatic naming', () => {
  it('prepares a statement from its second use on, under one name for every tenant', async () => {
    const pool = at.open({ max: 1 });
    await asA(() => pool.query('select label from things where id = $1', [1]));
    expect(await prepared(pool)).toEqual([]);
    for (const as of [asA, asB, asA]) await as(() => pool.query('select label from things where id = $1', [1]));
    expect(await prepared(pool)).toEqual([
      {
        name: expect.stringMatching(/^tenantry_[0-9a-f]{8}_\d+$/),
        statement: 'select label from things where id = $1',
      },
    ]);
    expect((await asA(() => pool.query('select label from things where id = $1', [1]))).rows).toEqual([{ label: 'x' }]);
    expect((await asB(() => pool.query('select label from things where id = $1', [1]))).rows).toEqual([]);
  });

  it('keeps the least recently used within its limit, and closes what goes', async () => {
    const pool = at.open({ max: 1, naming: { limit: 2, after: 1 } });
    for (const n of [1, 2, 1, 3, 1]) await asA(() => pool.query(`select ${n} as n`));
    expect((await prepared(pool)).map(({ statement }) => statement)).toEqual(['select 1 as n', 'select 3 as n']);
    expect((await asA(() => pool.query('select 2 as n'))).rows).toEqual([{ n: 2 }]);
  });

  it('can be left out per query, per pool, and for what is no query', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    await asA(() => pool.query({ text: 'select 1', naming: false } as never));
    await asA(() => pool.query('explain select 1'));
    await asA(() => pool.query('select 1; select 2'));
    expect(await prepared(pool)).toEqual([]);
    const off = at.open({ max: 1, naming: false });
    for (let i = 0; i < 3; i++) await asA(() => off.query('select 3'));
    expect(await prepared(off)).toEqual([]);
  });

  it('prepares again when the result of a statement changed its type, and what it knew of it', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    const read = () => asA(() => pool.query('select * from things where id = 1'));
    expect((await read()).fields.map(({ name }) => name)).toEqual(['tenant_id', 'id', 'label']);
    await at.database.query('set role tenantry_owner; alter table things add column extra int default 7; reset role');
    const after = await read();
    expect(after.rows[0]).toMatchObject({ label: 'x', extra: 7 });
    expect(after.fields.map(({ name }) => name)).toEqual(['tenant_id', 'id', 'label', 'extra']);
    const named = { name: 'mine', text: 'select * from things where id = 1' };
    await asA(() => pool.query(named));
    await at.database.query('set role tenantry_owner; alter table things drop column extra; reset role');
    expect((await asA(() => pool.query(named))).fields).toHaveLength(3);
  });

  it('in a transaction the error stands, and the next one works', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    const client = await pool.connect();
    const read = () => client.query('select * from things where id = 2');
    await asA(read);
    await at.database.query('set role tenantry_owner; alter table things add column extra int default 7; reset role');
    await asA(async () => {
      await client.query('begin');
      await expect(read()).rejects.toMatchObject({ code: '0A000' });
      await client.query('rollback');
      expect((await read()).rows[0]).toMatchObject({ extra: 7 });
    });
    client.release();
    await at.database.query('set role tenantry_owner; alter table things drop column extra; reset role');
  });

  it('survives DEALLOCATE ALL, DISCARD ALL, and a function that deallocates', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    const read = async (): Promise<void> => {
      expect((await asA(() => pool.query('select count(*)::int n from things'))).rows).toEqual([{ n: 3 }]);
      expect((await asB(() => pool.query('select count(*)::int n from things'))).rows).toEqual([{ n: 0 }]);
    };
    for (const forget of [
      'deallocate all',
      'discard all',
      "do $$ begin execute 'deallocate all'; end $$",
      'select 1; deallocate all',
    ]) {
      await read();
      await asA(() => pool.query(forget));
      await read();
    }
    const client = await pool.connect();
    await asA(async () => {
      await client.query("do $$ begin execute 'deallocate all'; end $$");
      await client.query('begin');
      await expect(count(client)).rejects.toMatchObject({ code: '26000' });
      await client.query('rollback');
      expect(await count(client)).toBe(10);
    });
    client.release();
  });

  it('refuses a name that stands for another text', async () => {
    const pool = at.open({ max: 1 });
    await asA(() => pool.query({ name: 'n', text: 'select 1' }));
    await expect(asA(() => pool.query({ name: 'n', text: 'select 2' }))).rejects.toThrow('must be unique');
    expect(await asA(() => count(pool))).toBe(10);
  });

  it('forgets a statement whose preparation failed', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    await expect(asA(() => pool.query('select * from later'))).rejects.toMatchObject({ code: '42P01' });
    await at.database.query('create table later (id int); grant select on later to tenantry_app');
    expect((await asA(() => pool.query('select * from later'))).rows).toEqual([]);
    await expect(asA(() => pool.query({ name: 'l', text: 'select * from nowhere' }))).rejects.toMatchObject({
      code: '42P01',
    });
    await expect(asA(() => pool.query({ name: 'l', text: 'select * from nowhere' }))).rejects.toMatchObject({
      code: '42P01',
    });
  });

  it('errors of a statement that runs leave it prepared', async () => {
    const pool = at.open({ max: 1, naming: { after: 1 } });
    await expect(asA(() => pool.query('select 1 / $1::int', [0]))).rejects.toMatchObject({ code: '22012' });
    expect(await prepared(pool)).toHaveLength(1);
    expect((await asA(() => pool.query('select 1 / $1::int as q', [1]))).rows).toEqual([{ q: 1 }]);
  });
});

describe('plan poisoning', () => {
  it('without a size class the first tenant on a connection plans for every other', async () => {
    // the attack: one name, and so one plan, whoever asks
    const pool = at.open({ max: 1, naming: { after: 1 } });
    for (const as of [asA, asB]) await as(() => pool.query('select count(*) from notes'));
    expect(await prepared(pool)).toHaveLength(1);
  });

  it('with one, tenants of another size have a plan of their own', async () => {
    const pool = at.open({
      max: 1,
      naming: { after: 1, sizeClass: (tenant) => (tenant === tenantB ? 'large' : 'small') },
    });
    for (const as of [asA, asB, asA, asB]) await as(() => pool.query('select count(*) from notes'));
    const names = (await prepared(pool)).map(({ name }) => name.replace(/_[0-9a-f]{8}_\d+/, '_n')).sort();
    expect(names).toEqual(['tenantry_n_large', 'tenantry_n_small']);
  });

  it('statements that name a skewed table are planned each time', async () => {
    const pool = at.open({ max: 1, naming: { after: 1, skewedTables: ['public.notes'] } });
    await asA(() => pool.query('select count(*) from notes'));
    await asA(() => pool.query('select count(*) from things'));
    expect((await prepared(pool)).map(({ statement }) => statement)).toEqual(['select count(*) from things']);
  });
});
