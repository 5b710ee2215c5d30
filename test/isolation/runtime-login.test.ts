import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertRuntimeLogin, loginWeaknesses } from '../../src/isolation/runtime-login.ts';
import { createPool } from '../../src/pool/index.ts';
import { protectedTable } from '../pool/fixture.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let root: pg.Client;
const logins: string[] = [];

/** A login with the given powers, and what is said of it. */
async function weaknessesOf(name: string, ...statements: string[]): Promise<string[]> {
  const login = `${database.name}_${name}`;
  logins.push(login);
  await root.query(`create role ${login} login password 'x'`);
  for (const statement of statements) await root.query(statement.replaceAll('LOGIN', login));
  const url = new URL(database.appUrl);
  url.username = login;
  url.password = 'x';
  const pool = createPool({ connectionString: url.href, max: 1 });
  try {
    return (await loginWeaknesses(pool)).map((weakness) => weakness.name.replaceAll(`${database.name}_`, ''));
  } finally {
    await pool.end();
  }
}

beforeAll(async () => {
  database = await createTestDatabase();
  await database.query(protectedTable('notes', 'id int'));
  root = new pg.Client({ connectionString: database.superuserUrl });
  await root.connect();
});

afterAll(async () => {
  for (const login of logins.reverse()) await root.query(`drop owned by ${login} cascade; drop role ${login}`);
  await root.end();
  await database.drop();
});

describe('D5 a login that can pass the policies is refused', () => {
  it('accepts a plain member of tenantry_app', async () => {
    const pool = createPool({ connectionString: database.appUrl, max: 1 });
    await assertRuntimeLogin(pool);
    await pool.end();
  });

  it('names every power of the login itself', async () => {
    expect(await weaknessesOf('super', 'alter role LOGIN superuser')).toContain('superuser');
    expect(await weaknessesOf('bypass', 'alter role LOGIN bypassrls createrole replication')).toEqual([
      'bypassrls',
      'createrole',
      'replication',
    ]);
  });

  it('names the roles it can become, directly or through others', async () => {
    expect(await weaknessesOf('owner', 'grant tenantry_owner to LOGIN')).toEqual(['set-role:tenantry_owner']);
    expect(await weaknessesOf('far', 'grant tenantry_operator to LOGIN')).toEqual(['set-role:tenantry_owner']);
    expect(await weaknessesOf('dba', 'create role LOGIN_dba bypassrls', 'grant LOGIN_dba to LOGIN')).toEqual([
      'set-role:dba_dba',
    ]);
    logins.push(`${database.name}_dba_dba`);
  });

  it('names predefined roles that read, write or run', async () => {
    expect(await weaknessesOf('reads', 'grant pg_read_all_data, pg_execute_server_program to LOGIN')).toEqual([
      'predefined-role:pg_execute_server_program',
      'predefined-role:pg_read_all_data',
    ]);
  });

  it('names protected tables it owns', async () => {
    await database.query(protectedTable('mine', 'id int'));
    expect(await weaknessesOf('owns', 'alter table mine owner to LOGIN')).toEqual(['owns:public.mine']);
  });

  it('refuses at start, names what to do, and accepts a weakness by its name', async () => {
    const pool = new pg.Pool({ connectionString: database.operatorUrl, max: 1 });
    await expect(assertRuntimeLogin(pool)).rejects.toMatchObject({
      code: 'TNT_LOGIN_CAN_BYPASS',
      message: expect.stringContaining('can become tenantry_owner'),
      hint: expect.stringContaining("acceptWeakness: ['set-role:tenantry_owner']"),
    });
    await assertRuntimeLogin(pool, { acceptWeakness: ['set-role:tenantry_owner'] });
    await assertRuntimeLogin(pool, { acceptWeakness: ['set-role'] });
    await expect(assertRuntimeLogin(pool, { acceptWeakness: ['superuser'] })).rejects.toMatchObject({
      code: 'TNT_LOGIN_CAN_BYPASS',
    });
    await pool.end();
  });
});
