import pg from 'pg';
import { withTenant } from '../src/context/index.ts';
import { createPool, type TenantPoolOptions } from '../src/pool/index.ts';
import {
  type BenchCase,
  type BenchResult,
  benchOptions,
  benchServer,
  concurrently,
  cpuRatio,
  finish,
  interleave,
  machine,
  printTable,
  ratio,
} from './frame.ts';
import { createScopedData, type ScopedData } from './scoped-data.ts';

// What a query costs that is scoped to a tenant: by hand, by Tenantry, by a transaction around it.

const options = benchOptions();
const rounds = Number(process.env['ROUNDS'] ?? (options.quick ? 9 : 25));
const batch = Number(process.env['BATCH'] ?? (options.quick ? 1_200 : 2_500));

interface Statement {
  readonly scoped: string;
  readonly byHand: string;
  values(i: number): unknown[];
}

function statements({ perTenant }: ScopedData): Record<'point' | 'list', Statement> {
  const columns = 'id, name, price, created_at';
  return {
    point: {
      scoped: `select ${columns} from items where id = $1`,
      byHand: `select ${columns} from items_plain where tenant_id = $2 and id = $1`,
      values: (i) => [(i % perTenant) + 1],
    },
    list: {
      scoped: `select ${columns} from items where id <= $1 order by id desc limit 50`,
      byHand: `select ${columns} from items_plain where tenant_id = $2 and id <= $1 order by id desc limit 50`,
      values: (i) => [perTenant - (i % 20)],
    },
  };
}

const server = await benchServer();
try {
  const data = await createScopedData(server.adminUrl, { tenants: 10_000, perTenant: 100 });
  const texts = statements(data);
  const tenantOf = (i: number): string => data.tenants[(i * 7_919) % data.tenants.length] ?? '';
  const pools: { end(): Promise<void> }[] = [];
  const plainPool = (max: number): pg.Pool => {
    const pool = new pg.Pool({ connectionString: server.appUrl, max, idleTimeoutMillis: 0 });
    pools.push(pool);
    return pool;
  };
  const tenantPool = (max: number, more: TenantPoolOptions = {}) => {
    const pool = createPool({ connectionString: server.appUrl, max, idleTimeoutMillis: 0, ...more });
    pools.push(pool);
    return pool;
  };

  const lines: Record<string, number> = {};
  const kept: Record<string, BenchResult[]> = {};
  const select = process.env['ONLY'];

  for (const connections of [8, 1]) {
    for (const shape of ['point', 'list'] as const) {
      const title = `${shape === 'point' ? 'point read' : 'list of 50'}, ${connections} connection${connections > 1 ? 's' : ''}`;
      if (select !== undefined && !title.includes(select)) continue;
      const { scoped, byHand, values } = texts[shape];
      const operations = shape === 'point' ? batch : Math.ceil(batch / 3);
      const plain = plainPool(connections);
      const tenantry = tenantPool(connections);
      const unnamed = tenantPool(connections, { naming: false });
      const inTransaction = plainPool(connections);
      const each = (name: string, operation: (i: number) => Promise<unknown>): BenchCase => ({
        name,
        operations,
        run: () => concurrently(operations, connections, operation),
      });
      const cases = [
        each('plain pg, named', (i) => plain.query({ name: shape, text: byHand, values: [...values(i), tenantOf(i)] })),
        each('plain pg, unnamed', (i) => plain.query(byHand, [...values(i), tenantOf(i)])),
        each('Tenantry, named', (i) =>
          withTenant({ tenantId: tenantOf(i) }, () => tenantry.query({ name: shape, text: scoped, values: values(i) })),
        ),
        each('Tenantry, as ORMs send', (i) =>
          withTenant({ tenantId: tenantOf(i) }, () => tenantry.query(scoped, values(i))),
        ),
        each('Tenantry, naming off', (i) =>
          withTenant({ tenantId: tenantOf(i) }, () => unnamed.query(scoped, values(i))),
        ),
        each('transaction on pg', async (i) => {
          const client = await inTransaction.connect();
          try {
            await client.query('begin');
            await client.query("select set_config('app.tenant_id', $1, true)", [tenantOf(i)]);
            await client.query({ name: shape, text: scoped, values: values(i) });
            await client.query('commit');
          } finally {
            client.release();
          }
        }),
      ];
      const results = await interleave(cases, {
        rounds,
        ...(server.pid === undefined ? {} : { serverPid: server.pid }),
      });
      kept[title] = [...results.values()];
      const baseline = results.get('plain pg, named') as BenchResult;
      const unnamedBaseline = results.get('plain pg, unnamed') as BenchResult;
      printTable(
        title,
        ['', 'per second', 'min', 'max', 'µs CPU', '÷ named', '÷ named CPU', '÷ unnamed', '÷ unnamed CPU'],
        [...results.values()].map((result) => [
          result.name,
          result.rate.median,
          result.rate.min,
          result.rate.max,
          result.cpu.median,
          ratio(result, baseline),
          cpuRatio(result, baseline),
          ratio(result, unnamedBaseline),
          cpuRatio(result, unnamedBaseline),
        ]),
      );
      if (shape === 'point' && connections === 8) {
        lines['ratio'] = ratio(results.get('Tenantry, named') as BenchResult, baseline);
        lines['unnamed'] = ratio(results.get('Tenantry, as ORMs send') as BenchResult, unnamedBaseline);
      }
    }
  }
  await Promise.all(pools.map((pool) => pool.end()));
  const where = machine(server);
  printTable('Measured on', ['', ''], Object.entries(where));
  finish('scoped-query', options, { machine: where, lines, results: kept });
} finally {
  await server.stop();
}
