import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import type pg from 'pg';
import Cursor from 'pg-cursor';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { withTenant } from '../../src/context/index.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { protectedTable } from '../pool/fixture.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

// Random tenants do random things over few connections, raw SQL included. Every row carries its owner twice: in the
// tenant column, which the policy guards, and in `owner`, which nothing guards and nobody but its tenant may ever see.

const tenants = Array.from({ length: 6 }, () => randomUUID());

type Step =
  | {
      readonly kind: 'read' | 'named' | 'array' | 'several' | 'cursor' | 'error' | 'forget' | 'foreign' | 'session';
      readonly n: number;
    }
  | { readonly kind: 'insert' | 'update' | 'delete' | 'steal'; readonly n: number; readonly victim: number }
  | {
      readonly kind: 'transaction';
      readonly steps: readonly Step[];
      readonly savepoint: boolean;
      readonly end: 'commit' | 'rollback' | 'leave';
    };

const plainStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constantFrom('read', 'named', 'array', 'several', 'cursor', 'error', 'forget', 'foreign', 'session'),
    n: fc.nat(40),
  }),
  fc.record({
    kind: fc.constantFrom('insert', 'update', 'delete', 'steal'),
    n: fc.nat(40),
    victim: fc.nat(tenants.length - 1),
  }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: plainStep },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('transaction' as const),
      steps: fc.array(plainStep, { maxLength: 4 }),
      savepoint: fc.boolean(),
      end: fc.constantFrom('commit', 'rollback', 'leave'),
    }),
  },
);
const request = fc.record({
  tenant: fc.nat(tenants.length - 1),
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
});
const program = fc.array(request, { minLength: 8, maxLength: 24 });

interface Crossing {
  readonly tenant: string;
  readonly step: Step;
  readonly row: unknown;
}
interface Run {
  operations: number;
  readonly crossings: Crossing[];
}
type Connection = TenantPool | pg.PoolClient;

/** What a step does, as a program of a tenant who may be careless or malicious, and the rows it was shown. */
async function rowsOf(
  on: Connection,
  { kind, n }: Step & { n: number },
  tenant: string,
  victim: string,
): Promise<unknown[]> {
  const all = 'select owner, n from marks';
  const query = async (text: string | object, values?: unknown[]): Promise<unknown[]> =>
    ((await (on as pg.PoolClient).query(text as string, values)) as pg.QueryResult).rows;
  switch (kind) {
    case 'read':
      return query(`${all} where n >= $1 order by n limit 20`, [n]);
    case 'named':
      return query({ name: `marks_${n % 3}`, text: `${all} where n % 3 = ${n % 3}` });
    case 'array':
      return (await query({ text: `${all} where n > $1`, values: [n], rowMode: 'array' })).map((row) => ({
        owner: (row as unknown[])[0],
      }));
    case 'several':
      return (
        (await (on as pg.PoolClient).query(
          `${all}; select 1 as one; ${all} where n = ${n}`,
        )) as unknown as pg.QueryResult[]
      ).flatMap(({ rows }) => rows);
    case 'cursor': {
      if (!('release' in on)) return [];
      const cursor = on.query(new Cursor(all));
      const rows = await cursor.read((n % 5) + 1);
      await cursor.close();
      return rows;
    }
    case 'error':
      return query('select owner, 1 / (n - n) from marks union all select null, 1 / 0');
    case 'forget':
      return query(n % 2 ? 'deallocate all' : 'discard plans');
    case 'foreign':
      return query(`${all} where tenant_id = $1 or owner = $1 or true`, [victim]);
    case 'session':
      return query(`set application_name = 'step ${n}'`);
    case 'insert':
      return query('insert into marks (owner, n) values ($1, $2) returning owner', [tenant, n]);
    case 'update':
      return query('update marks set n = n + 1 where n = $1 returning owner', [n]);
    case 'delete':
      return query('delete from marks where n = $1 and owner = $2 returning owner', [n, victim]);
    case 'steal':
      return query('insert into marks (tenant_id, owner, n) values ($1, $2, $3) returning owner', [victim, tenant, n]);
    default:
      return [];
  }
}

async function play(on: Connection, next: Step, tenant: string, pool: TenantPool, run: Run): Promise<void> {
  if (next.kind === 'transaction') {
    const client = await pool.connect();
    try {
      await client.query('begin');
      if (next.savepoint) await client.query('savepoint s');
      for (const inner of next.steps) await play(client, inner, tenant, pool, run);
      if (next.savepoint) await client.query('rollback to s').catch(() => undefined);
      for (const inner of next.steps.slice(0, 1)) await play(client, inner, tenant, pool, run);
      if (next.end !== 'leave') await client.query(next.end);
    } finally {
      client.release();
    }
    return;
  }
  run.operations++;
  const victim = tenants['victim' in next ? next.victim : next.n % tenants.length] as string;
  const rows = await rowsOf(on, next as Step & { n: number }, tenant, victim).catch(() => []);
  for (const row of rows) {
    const { owner } = row as { owner?: string };
    if (owner !== undefined && owner !== null && owner !== tenant) run.crossings.push({ tenant, step: next, row });
  }
}

/** Runs every request of a program at once, as a server would. */
async function perform(
  pool: TenantPool,
  requests: readonly { tenant: number; steps: readonly Step[] }[],
  run: Run,
): Promise<void> {
  await Promise.all(
    requests.map(({ tenant, steps }) => {
      const tenantId = tenants[tenant] as string;
      return withTenant({ tenantId }, async () => {
        for (const one of steps) await play(pool, one, tenantId, pool, run);
      });
    }),
  );
}

describe('A7 C7 D5 no row ever crosses', () => {
  let database: TestDatabase;
  const pools: TenantPool[] = [];

  beforeAll(async () => {
    database = await createTestDatabase();
    await database.query(protectedTable('marks', 'owner uuid not null, n int not null'));
    pools.push(createPool({ connectionString: database.appUrl, max: 3 }));
    pools.push(
      createPool({
        connectionString: database.appUrl,
        max: 2,
        multiplex: { connections: 2 },
        naming: { after: 1, limit: 3 },
      }),
    );
    pools.push(createPool({ connectionString: database.appUrl, max: 2, pooler: 'transaction' }));
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
    await database.drop();
  });

  const fill = async (): Promise<void> => {
    await database.query('set role tenantry_owner; truncate marks; reset role');
    await database.query(
      'insert into marks (tenant_id, owner, n) select t, t, i from unnest($1::uuid[]) t, generate_series(1, 8) i',
      [tenants],
    );
  };

  /** Nobody has written into another's rows, and no tenant's rows have left it. */
  const strays = (): Promise<unknown[]> =>
    database.query('select tenant_id, owner, n from marks where owner <> tenant_id');

  it('thousands of random operations of random tenants', async () => {
    const run: Run = { operations: 0, crossings: [] };
    let turn = 0;
    await fc.assert(
      fc.asyncProperty(program, async (requests) => {
        await fill();
        await perform(pools[turn++ % pools.length] as TenantPool, requests, run);
        expect(run.crossings).toEqual([]);
        expect(await strays()).toEqual([]);
      }),
      { numRuns: 90, endOnFailure: true },
    );
    expect(run.operations).toBeGreaterThan(3_000);
  });

  it('and the same checker fails when the floor is weakened by hand', async () => {
    await database.query(
      'set role tenantry_owner; alter policy tenantry_floor on marks using (true) with check (true); reset role',
    );
    const weakened = fc.assert(
      fc.asyncProperty(program, async (requests) => {
        const run: Run = { operations: 0, crossings: [] };
        await fill();
        await perform(pools[0] as TenantPool, requests, run);
        expect(run.crossings).toEqual([]);
        expect(await strays()).toEqual([]);
      }),
      { numRuns: 20, endOnFailure: true },
    );
    await expect(weakened).rejects.toThrow('Property failed');
  });
});
