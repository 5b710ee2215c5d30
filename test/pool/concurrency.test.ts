import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import type { TenantPool } from '../../src/pool/index.ts';
import { poolFixture, protectedTable } from './fixture.ts';

const at = poolFixture();
const tenants = Array.from({ length: 50 }, () => randomUUID());
const read = 'select tenant_id, n from ledger';

beforeAll(async () => {
  await at.database.query(protectedTable('ledger', 'n int not null'));
  await at.database.query(
    'insert into ledger (tenant_id, n) select t, i from unnest($1::uuid[]) t, generate_series(1, 3) i',
    [tenants],
  );
});

const quiet = (): void => undefined; // backends are ended on purpose

type Rows = { tenant_id: string }[];
interface Tally {
  answered: number;
  failed: string[];
  foreign: unknown[];
}

/** One request: some of what applications do. Errors are counted; rows of another tenant are kept. */
async function request(pool: TenantPool, tenantId: string, kind: number, tally: Tally): Promise<void> {
  const check = (result: pg.QueryResult): void => {
    tally.answered++;
    for (const row of result.rows as Rows) if (row.tenant_id !== tenantId) tally.foreign.push({ tenantId, kind, row });
    if (result.command === 'SELECT' && result.rows.length !== 3)
      tally.foreign.push({ tenantId, kind, rows: result.rows.length });
  };
  await withTenant({ tenantId }, async () => {
    try {
      switch (kind % 6) {
        case 0:
          return check(await pool.query(read));
        case 1:
          return check(await pool.query({ name: 'read', text: read }));
        case 2:
          return check(await pool.query(`${read} where n > $1 and pg_sleep(0.001) is not null`, [0]));
        case 3: {
          const results = (await pool.query(`${read}; ${read}`)) as unknown as pg.QueryResult[];
          return results.forEach(check);
        }
        case 4:
          return check(await pool.query('select 1 / 0 as tenant_id'));
        default: {
          const client = await pool.connect();
          client.on('error', quiet);
          let broken: Error | undefined;
          try {
            await client.query('begin');
            check(await client.query(read));
            await client.query('savepoint s');
            await client.query('select 1/0').catch(() => undefined);
            await client.query('rollback to s');
            check(await client.query(read));
            if (kind % 12 === 5) await client.query('commit');
          } catch (error) {
            broken = error as Error;
            throw error;
          } finally {
            client.off('error', quiet);
            client.release(broken);
          }
        }
      }
    } catch (error) {
      tally.failed.push((error as { code?: string }).code ?? (error as Error).message);
    }
  });
}

describe('D5 many requests over few connections', () => {
  it('10,000 mixed queries of two tenants: none sees the other', async () => {
    const pool = at.open({ max: 4 });
    const tally: Tally = { answered: 0, failed: [], foreign: [] };
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let i = next++; i < 6_000; i = next++)
        await request(pool, tenants[i % 2] as string, i * 31 + (i % 7), tally);
    };
    await Promise.all(Array.from({ length: 24 }, worker));
    expect(tally.foreign).toEqual([]);
    expect(new Set(tally.failed)).toEqual(new Set(['22012']));
    expect(tally.answered).toBeGreaterThan(6_000);
  });

  it.each([
    ['as usual', {}],
    ['with shared connections', { multiplex: { connections: 2 } }],
  ])('200 requests of 50 tenants over 4 connections while backends are cancelled and ended, %s', async (_, options) => {
    const pool = at.open({ max: 4, ...options });
    const tally: Tally = { answered: 0, failed: [], foreign: [] };
    const killer = new pg.Client({ connectionString: at.database.superuserUrl });
    await killer.connect();
    let running = true;
    const disturb = (async () => {
      for (let i = 0; running; i++) {
        const how = i % 5 === 0 ? 'pg_terminate_backend' : 'pg_cancel_backend';
        await killer.query(`select ${how}(pid) from (select pid from pg_stat_activity where datname = current_database()
          and usename = 'Tenantry_Test_App' order by random() limit 2) victims`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    for (let round = 0; round < 6; round++) {
      await Promise.all(
        Array.from({ length: 200 }, (_value, i) => request(pool, tenants[(i * 7) % 50] as string, i + round, tally)),
      );
    }
    running = false;
    await disturb;
    await killer.end();
    expect(tally.failed).toContain('57014');
    expect(tally.failed).toContain('57P01');
    expect(tally.foreign).toEqual([]);
    expect(tally.answered).toBeGreaterThan(300);
    // and afterwards everything works
    const calm: Tally = { answered: 0, failed: [], foreign: [] };
    await Promise.all(tenants.map((tenantId) => request(pool, tenantId, 0, calm)));
    expect(calm).toEqual({ answered: 50, failed: [], foreign: [] });
  });
});
