import { open, readFile, rename, rm } from 'node:fs/promises';
import { type Adopt, csvHeader, csvLine, type Plan, type RowFinding } from '../../../adopt/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { CommandInput, OptionSpec } from '../../command.ts';
import { planFile } from './shared.ts';

export const rowsOptions = {
  csv: {
    type: 'string',
    value: 'FILE',
    help: 'Write every row that a decision is about as CSV; "-" for standard output.',
  },
} as const satisfies Record<string, OptionSpec>;

/** Rows of one table, kind and decision: how many, and the first of them. */
export interface RowGroup {
  readonly table: string;
  readonly kind: string;
  readonly decision: string;
  readonly way: string;
  readonly otherWay: string | null;
  rows: number;
  readonly first: RowFinding[];
}

const shown = 20;

/** The plan to list by while no adoption is open: the file's. */
export async function planToVerify(input: CommandInput, adopt: Adopt): Promise<Plan | null> {
  const open = await adopt.status();
  if (open !== null && open.status === 'open') return null;
  const path = input.option('file') ?? planFile;
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined)
    throw new TenantryError('TNT_USAGE', `No adoption is open, and ${path} does not exist.`, {
      hint: 'Make it with: tenantry adopt plan',
    });
  return (await adopt.plan(text)).plan;
}

/** Reads every row once: into groups, and into the CSV where one is wanted. */
export async function verifyRows(input: CommandInput, adopt: Adopt, plan: Plan | null): Promise<RowGroup[]> {
  const target = input.option('csv');
  const sink = await openSink(input, target);
  const groups = new Map<string, RowGroup>();
  try {
    await sink.write(csvHeader);
    for await (const batch of adopt.findings(plan)) {
      for (const finding of batch) addTo(groups, finding);
      await sink.write(batch.map(csvLine).join(''));
      if (input.signal.aborted) throw new TenantryError('TNT_INTERRUPTED', 'The list was stopped.');
    }
    await sink.end();
  } catch (error) {
    await sink.drop();
    throw error;
  }
  return [...groups.values()];
}

function addTo(groups: Map<string, RowGroup>, finding: RowFinding): void {
  const { table, kind, decision, way, otherWay } = finding;
  const id = JSON.stringify([table, kind, decision, way, otherWay]);
  const group = groups.get(id) ?? { table, kind, decision, way, otherWay, rows: 0, first: [] };
  group.rows += 1;
  if (group.first.length < shown) group.first.push(finding);
  groups.set(id, group);
}

interface Sink {
  write(text: string): Promise<void>;
  end(): Promise<void>;
  drop(): Promise<void>;
}

async function openSink({ terminal }: CommandInput, target: string | undefined): Promise<Sink> {
  const nothing = async (): Promise<void> => {};
  if (target === undefined) return { write: nothing, end: nothing, drop: nothing };
  if (target === '-') {
    if (terminal.json) throw new TenantryError('TNT_USAGE', '--json and --csv - both write to standard output.');
    return {
      write: async (text) => {
        if (text !== '') terminal.line(text.slice(0, -1));
      },
      end: nothing,
      drop: nothing,
    };
  }
  const file = await open(`${target}.new`, 'w').catch((error: unknown) => {
    throw new TenantryError('TNT_USAGE', `${target} cannot be written.`, { cause: error });
  });
  return {
    write: async (text) => void (await file.write(text)),
    async end() {
      await file.close();
      await rename(`${target}.new`, target);
    },
    async drop() {
      await file.close().catch(() => undefined);
      await rm(`${target}.new`, { force: true });
    },
  };
}

/** The groups for a reader; nothing when the CSV itself goes to standard output. */
export function printRows({ terminal, option }: CommandInput, groups: readonly RowGroup[]): void {
  const target = option('csv');
  if (target === '-') return;
  for (const { table, kind, decision, way, otherWay, rows, first } of groups) {
    const head =
      decision === 'stop' ? terminal.paint('bad', 'undecided') : `${terminal.paint('good', 'decided')} ${decision}`;
    terminal.line(
      `${head} ${table}, ${kind}: ${counted(rows, 'row')} (${[way, otherWay].filter((w) => w !== null).join(' and ')})`,
    );
    const some = first.slice(0, 5).map(({ key, tenant, otherTenants }) => {
      const tenants = [tenant, otherTenants].filter((t) => t !== null && t !== '').join(' | ');
      return tenants === '' ? key : `${key}: ${tenants}`;
    });
    terminal.line(`  ${some.join('   ')}${rows > some.length ? '   …' : ''}`);
  }
  if (target !== undefined) terminal.line(`${terminal.paint('good', 'wrote')} ${target}`);
  else if (groups.length > 0) terminal.line('All of them, with their keys: tenantry adopt verify --csv rows.csv');
}
