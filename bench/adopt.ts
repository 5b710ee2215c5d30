import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { byDjango, byHand, constant, megabytes, ours, idleTable, rate } from './adopt.idle.ts';
import { describeLoaded, loadedTable, underLoad } from './adopt.load.ts';
import { keysetBatches, plainUpdate } from './adopt.rivals.ts';
import { another, type Cost, createShopTemplate, type ShopTemplate } from './adopt.shops.ts';
import type { Table } from './adopt.table.ts';
import { type BenchOptions, type BenchServer, benchServer, finish, machine, printTable } from './frame.ts';

// A shop of ten million rows is brought under tenancy: idle beside what people do by hand, and while its application works.
// pgroll, reshape and online_migrations are Go, Rust and Ruby programs that no registry here has; Django is there.

const help = `npm run bench -- adopt [options]

A shop of 10,000,000 rows in 12 tables gets its tenant column: idle, beside one UPDATE per table, plain keyset batches of
10,000 and Django; to one constant organization; and on the whole way to shadow while the shop's application works.

  --quick          500,000 rows, of which the live run has 100,000; without Django; about a minute
  --rows N         another number of rows
  --parts LIST     of idle, constant, load; all of them by default
  --embedded       the embedded server also where PostgreSQL 15 or later is installed: its build cannot compress the log
  --max-wal SIZE   max_wal_size of the server, as 4GB; otherwise PostgreSQL's own default
  --json FILE      keeps the results
  --help           this

It ends in lines name: value
  failed            statements of the application that failed or lost their connection (goal 0)
  lost              its rows that were lost, and tables with wrongly assigned ones (goal 0)
  constant_seconds  the way to verify with one constant organization (goal below 1)
  lock_wait_ms      longest wait of the application for a lock of Tenantry's (goal below 100)
  p99               of its statements, while Tenantry works over before (goal at most 1.5)
  keyset, wal       rows per second and bytes of log beside keyset batches, idle (goals at least 2, at most 0.5)
`;

const allParts = ['idle', 'constant', 'load'] as const;
type Part = (typeof allParts)[number];

const lastLines = ['failed', 'lost', 'constant_seconds', 'lock_wait_ms', 'p99', 'keyset', 'wal'];

interface AdoptBench extends BenchOptions {
  readonly rows: number;
  readonly parts: readonly Part[];
  readonly maxWal: string;
  readonly embedded: boolean;
}

function readOptions(): AdoptBench {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
      rows: { type: 'string' },
      parts: { type: 'string' },
      'max-wal': { type: 'string' },
      embedded: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(help);
    process.exit(0);
  }
  const rows = Number(values.rows ?? (values.quick ? 500_000 : 10_000_000));
  const parts = allParts.filter((part) => (values.parts?.split(',') ?? allParts).includes(part));
  // How far checkpoints are apart decides how many images of whole pages are in the log, of all that is measured alike. PostgreSQL's
  // default is what a server has whose owner chose nothing; four times that, as larger servers have, is a matter of --max-wal.
  const maxWal = values['max-wal'] ?? '1GB';
  return { quick: values.quick, json: values.json, rows, parts, maxWal, embedded: values.embedded };
}

/** Debian's newest PostgreSQL, built as most servers are: its log can be compressed by zstd. */
function installedServer(): string | undefined {
  const root = '/usr/lib/postgresql';
  const versions = existsSync(root) ? readdirSync(root).map(Number) : [];
  const newest = Math.max(
    ...versions.filter((version) => version >= 15 && existsSync(`${root}/${version}/bin/postgres`)),
  );
  return Number.isFinite(newest) ? `${root}/${newest}/bin` : undefined;
}

const count = (value: number): string => Math.round(value).toLocaleString('en-US');

async function main(options: AdoptBench): Promise<void> {
  const { quick, parts } = options;
  const loadBefore = loadavg()
    .map((value) => value.toFixed(1))
    .join(' ');
  const server = await benchServer(
    {
      max_connections: '60',
      shared_buffers: quick ? '512MB' : '2GB',
      max_wal_size: options.maxWal,
      log_checkpoints: 'off',
    },
    options.embedded ? undefined : installedServer(),
  );
  // the live run gives way to the application: with all rows of a quick one it would take longer than everything else
  const live = quick && parts.length > 1 ? await another(server) : undefined;
  try {
    const started = performance.now();
    const lines: Record<string, number> = {};
    const costs: Record<string, Cost> = {};
    const tables: Table[] = [];
    const notes: string[] = [];
    const show = (table: Table): void => {
      tables.push(table);
      printTable(table.title, table.header, table.rows);
    };
    const tell = (note: string): void => {
      notes.push(note);
      console.log(`\n${note}`);
    };
    const make = async (where: BenchServer, rows: number): Promise<ShopTemplate> => {
      const before = performance.now();
      const template = await createShopTemplate(where, rows / 1.2);
      tell(
        `${count(template.rows)} rows in ${Object.keys(template.byTable).length} tables, ${megabytes(template.bytes)}, made in ${Math.round((performance.now() - before) / 1000)} s`,
      );
      return template;
    };
    // a long run that is stopped has kept what it had measured
    const keep = (): void => {
      if (options.json === undefined) return;
      const described = { ...machine(server), 'load before': loadBefore, max_wal_size: options.maxWal };
      writeFileSync(`${options.json}.part`, JSON.stringify({ described, lines, costs, tables, notes }, undefined, 2));
    };
    const template = await make(server, live === undefined ? options.rows : options.rows * 0.8);
    if (parts.includes('load')) {
      const loaded = await underLoad(live === undefined ? template : await make(live, options.rows * 0.2), quick);
      show(loadedTable(loaded));
      describeLoaded(loaded).forEach(tell);
      lines['failed'] = loaded.failed + loaded.disconnected;
      lines['lost'] = loaded.lost + loaded.wrong.length;
      lines['lock_wait_ms'] = loaded.lockWait.behindTenantry;
      lines['p99'] = loaded.during.p99 / loaded.before.p99;
      keep();
    }
    if (parts.includes('constant')) {
      const seconds = await constant(template);
      tell(`constant tenant: ${seconds.toFixed(2)} s for ${count(template.rows)} rows`);
      lines['constant_seconds'] = seconds;
      keep();
    }
    if (parts.includes('idle')) {
      const measured = (name: string, cost: Cost): Cost => {
        console.error(`${name}: ${count(rate(cost))} rows/s`);
        costs[name] = cost;
        keep();
        return cost;
      };
      const keyset = measured('keyset batches of 10,000', await byHand(template, keysetBatches));
      const mine = measured('Tenantry', await ours(template, {}));
      measured('one UPDATE per table', await byHand(template, plainUpdate));
      const django = quick ? undefined : await byDjango(template);
      if (django !== undefined) measured(`Django ${django.version}, payments for half a minute`, django);
      show(idleTable(costs));
      lines['keyset'] = rate(mine) / rate(keyset);
      lines['wal'] = mine.walBytes / mine.rows / (keyset.walBytes / keyset.rows);
    }
    const described = { ...machine(server), 'load before': loadBefore, max_wal_size: options.maxWal };
    console.log(
      `\n${Object.entries(described)
        .map(([key, value]) => `${key}: ${value}`)
        .join(', ')}; ${Math.round((performance.now() - started) / 1000)} s in all`,
    );
    finish('adopt', options, {
      machine: described,
      lines: Object.fromEntries(lastLines.flatMap((name) => (name in lines ? [[name, lines[name] ?? 0]] : []))),
      results: { rows: template.rows, costs, tables, notes },
    });
  } finally {
    await live?.stop();
    await server.stop();
  }
}

await main(readOptions());
