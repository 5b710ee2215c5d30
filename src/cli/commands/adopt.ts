import { readFile, rename, writeFile } from 'node:fs/promises';
import {
  type Adopt,
  type Classification,
  createAdopt,
  describeConflict,
  type Phase,
  type Plan,
  type PlanDecisions,
  phases,
} from '../../adopt/index.ts';
import { assertMigrated } from '../../database/migrate.ts';
import { TenantryError } from '../../errors.ts';
import { adoptProgress } from '../adopt-progress.ts';
import type { Command, CommandInput } from '../command.ts';

const planFile = 'tenantry.plan.yaml';
const fileOption = { file: { type: 'string', value: 'FILE', help: `The plan. Defaults to ${planFile}.` } } as const;

/** Inspecting and planning need nothing of ours in the database; what changes or looks back needs the schema. */
async function adoptOf(input: CommandInput, { migrated = true } = {}): Promise<Adopt> {
  const { schema } = await input.config();
  const admin = (await input.database()).admin();
  if (migrated) await assertMigrated(admin, { schema });
  return createAdopt({ adminPool: admin, schema });
}

const inspect: Command = {
  name: 'adopt inspect',
  summary: 'Look at an existing database: tables, sizes, what hangs on what, likely tenants.',
  description: 'Reads the catalogue and changes nothing.',
  examples: ['tenantry adopt inspect', 'tenantry adopt inspect --json > inspection.json'],
  async run(input) {
    const { terminal } = input;
    const { inspection, roots } = await (await adoptOf(input, { migrated: false })).inspect();
    terminal.table(
      ['table', 'rows (estimate)', 'size', 'keys to', 'owner'],
      inspection.tables.map((table) => [
        table.name,
        table.rows < 0 ? 'unknown' : table.rows.toLocaleString('en-US'),
        size(table.bytes),
        [...new Set(inspection.foreignKeys.filter((key) => key.table === table.name).map((key) => key.parent))].join(
          ', ',
        ) || '-',
        table.owner,
      ]),
    );
    terminal.line();
    terminal.line(
      roots.length === 0
        ? 'No table has others hanging on it: use --constant NAME for one organization.'
        : 'Likely tenants, best first:',
    );
    for (const root of roots) {
      terminal.line(`  ${terminal.paint('bold', root.table)} (${Math.round(root.score)} of 100)`);
      for (const reason of root.reasons) terminal.line(`    ${reason}`);
    }
    if (roots[0] !== undefined) terminal.line(`\nNext: tenantry adopt plan --root ${roots[0].table}`);
    terminal.result({ inspection, roots });
  },
};

const classify: Command = {
  name: 'adopt classify',
  summary: 'Show each table’s class with its reason; writes nothing.',
  examples: [
    'tenantry adopt classify --root public.shops',
    'tenantry adopt classify --constant "System Tenant" --json',
  ],
  options: {
    root: { type: 'string', value: 'TABLE', help: 'The table whose rows are the tenants. Defaults to the likeliest.' },
    constant: { type: 'string', value: 'NAME', help: 'One organization of this name takes every row.' },
  },
  async run(input) {
    const adopt = await adoptOf(input, { migrated: false });
    const constant = input.option('constant');
    const root = input.option('root') ?? (constant === undefined ? (await adopt.inspect()).roots[0]?.table : undefined);
    if (root === undefined && constant === undefined)
      throw new TenantryError('TNT_USAGE', 'No table looks like the tenant: use --root or --constant.');
    const classes = await adopt.classify({
      ...(root === undefined ? {} : { root }),
      ...(constant === undefined ? {} : { constant }),
    });
    printClasses(input, classes);
    input.terminal.result(classes);
    return classes.some((table) => table.class === 'undecided') ? 3 : 0;
  },
};

const plan: Command = {
  name: 'adopt plan',
  summary: 'Write tenantry.plan.yaml: each table’s class with its reason, for a person to decide.',
  description:
    'Reads only. Run again after an edit: decisions in the file are kept. Exit code 3 while something is undecided or in conflict.',
  examples: [
    'tenantry adopt plan --root public.shops',
    'tenantry adopt plan --constant "System Tenant"',
    'tenantry adopt plan --sql > adopt.sql',
  ],
  options: {
    ...fileOption,
    root: { type: 'string', value: 'TABLE', help: 'The table whose rows are the tenants.' },
    constant: { type: 'string', value: 'NAME', help: 'One organization of this name takes every row.' },
    column: { type: 'string', value: 'NAME', help: 'Name of the tenant column. Defaults to tenant_id.' },
    sql: { type: 'boolean', help: 'Print every statement of every phase and write no file.' },
    yes: { type: 'boolean', short: 'y', help: 'Replace a plan file that exists, with its decisions.' },
  },
  async run(input) {
    const { terminal } = input;
    const adopt = await adoptOf(input, { migrated: false });
    const path = input.option('file') ?? planFile;
    const decisions = await decisionsOf(input, adopt, path);
    const { plan, file, conflicts } = await adopt.plan(decisions);
    if (input.flag('sql')) for (const line of sqlOf(plan)) terminal.line(line);
    else {
      await writeFile(`${path}.new`, file);
      await rename(`${path}.new`, path);
      printClasses(input, plan.tables);
      terminal.line(
        `\n${terminal.paint('good', 'wrote')} ${path}: ${plan.order.length} of ${plan.tables.length} tables get a tenant, ${plan.steps.length} steps`,
      );
    }
    for (const conflict of conflicts)
      terminal.note(`${terminal.paint('bad', 'conflict')} ${describeConflict(conflict)}`);
    const undecided = plan.tables.filter((table) => table.class === 'undecided');
    if (undecided.length > 0)
      terminal.note(
        `${terminal.paint('warn', 'undecided')} ${undecided.map((table) => table.table).join(', ')}: decide them in ${path}`,
      );
    terminal.result({ plan, conflicts });
    if (conflicts.length > 0 || undecided.length > 0) return 3;
    if (!input.flag('sql')) terminal.line('Next: read it, commit it, then: tenantry adopt run --to shadow');
    return 0;
  },
};

/** The flags make a new plan; without them the file's decisions are planned again. */
async function decisionsOf(input: CommandInput, adopt: Adopt, path: string): Promise<PlanDecisions | string> {
  const root = input.option('root');
  const constant = input.option('constant');
  const column = input.option('column');
  const existing = await readFile(path, 'utf8').catch(() => undefined);
  if (root !== undefined && constant !== undefined)
    throw new TenantryError('TNT_USAGE', 'Use --root or --constant, not both.');
  if (root === undefined && constant === undefined) {
    if (existing !== undefined) return existing;
    const [best] = (await adopt.inspect()).roots;
    throw new TenantryError('TNT_USAGE', 'Say which table the tenants are in.', {
      hint:
        best === undefined
          ? 'tenantry adopt plan --constant "System Tenant"'
          : `Probably: tenantry adopt plan --root ${best.table} — reasons: tenantry adopt inspect`,
    });
  }
  if (existing !== undefined && !input.flag('yes') && !input.flag('sql')) {
    throw new TenantryError('TNT_USAGE', `${path} exists, and a new plan would lose its decisions.`, {
      hint: 'Repeat with --yes, or give another --file.',
    });
  }
  return {
    ...(root === undefined ? {} : { root }),
    ...(constant === undefined ? {} : { constant }),
    ...(column === undefined ? {} : { column }),
  };
}

const run: Command = {
  name: 'adopt run',
  summary: 'Carry the plan out while the application runs; goes on where it stopped.',
  description: `Phases: ${phases.join(' → ')}. Ctrl-C and kill -9 leave it resumable: run the same command again.`,
  examples: ['tenantry adopt run --to shadow', 'tenantry adopt run', 'tenantry adopt run --max-rate 20000'],
  options: {
    ...fileOption,
    to: { type: 'string', value: 'PHASE', help: 'Stop after this phase. Defaults to enforced.' },
    'max-rate': { type: 'string', value: 'ROWS', help: 'At most this many rows a second in the backfill.' },
    force: {
      type: 'boolean',
      help: 'Go on although preflight found blockers, or shadow confirmed statements that change.',
    },
  },
  async run(input) {
    const { terminal } = input;
    const adopt = await adoptOf(input);
    const path = input.option('file') ?? planFile;
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const open = await adopt.status();
    const resumes = open !== null && open.status === 'open';
    if (text === undefined && !resumes) {
      throw new TenantryError('TNT_USAGE', `${path} does not exist.`, { hint: 'Make it with: tenantry adopt plan' });
    }
    const plan = text === undefined || resumes ? null : (await adopt.plan(text)).plan;
    const progress = adoptProgress(terminal);
    const maxRate = input.number('max-rate');
    const result = await adopt
      .run(plan, {
        to: phaseOf(input.option('to'), 'enforced'),
        force: input.flag('force'),
        signal: input.signal,
        onEvent: progress.onEvent,
        ...(maxRate === undefined ? {} : { maxRate }),
      })
      .finally(() => progress.end());
    terminal.line(
      `${terminal.paint('good', result.phase)}: ${result.tables} tables, ${result.rows.toLocaleString('en-US')} rows filled, ${result.seconds.toFixed(1)} s`,
    );
    if (result.phase === 'shadow') terminal.line('Next: tenantry isolation shadow report — then: tenantry adopt run');
    terminal.result(result);
  },
};

const status: Command = {
  name: 'adopt status',
  summary: 'Show how far the adoption is.',
  examples: ['tenantry adopt status', 'tenantry adopt status --json'],
  async run(input) {
    const { terminal } = input;
    const found = await (await adoptOf(input)).status();
    terminal.result(found);
    if (found === null) {
      terminal.line('No adoption yet. Begin with: tenantry adopt inspect');
      return;
    }
    terminal.line(
      `${found.status === 'open' ? found.phase : 'undone'}${found.running ? ', a process is working on it' : ''}, begun ${found.startedAt.toISOString()}`,
    );
    terminal.table(
      ['phase', 'steps done', 'rows'],
      found.phases.map((phase) => [phase.phase, `${phase.done} of ${phase.steps}`, phase.rows.toLocaleString('en-US')]),
    );
    if (found.lastError !== null) terminal.line(`${terminal.paint('bad', 'last error')} ${found.lastError}`);
  },
};

const verify: Command = {
  name: 'adopt verify',
  summary: 'Compare every row’s tenant with its parents’, now.',
  examples: ['tenantry adopt verify'],
  async run(input) {
    const { terminal } = input;
    const findings = await (await adoptOf(input)).verify();
    terminal.result(findings);
    for (const finding of findings) terminal.line(`${terminal.paint('bad', finding.table)}: ${finding.message}`);
    if (findings.length === 0) terminal.line(terminal.paint('good', 'Every row has its parents’ tenant.'));
    return findings.length === 0 ? 0 : 3;
  },
};

const undo: Command = {
  name: 'adopt undo',
  summary: 'Take the adoption back, whole or down to a phase; the data stays.',
  examples: ['tenantry adopt undo --yes', 'tenantry adopt undo --to backfill --yes'],
  options: {
    to: {
      type: 'string',
      value: 'PHASE',
      help: 'The phase to go back to. Defaults to preflight: the schema as it was.',
    },
    yes: { type: 'boolean', short: 'y', help: 'Confirm: tenants are no longer kept apart afterwards.' },
  },
  async run(input) {
    const { terminal } = input;
    if (!input.flag('yes'))
      throw new TenantryError('TNT_USAGE', 'Undo takes policies and tenant columns away.', {
        hint: 'Repeat with --yes.',
      });
    const progress = adoptProgress(terminal);
    const result = await (await adoptOf(input))
      .undo({ to: phaseOf(input.option('to'), 'preflight'), signal: input.signal, onEvent: progress.onEvent })
      .finally(() => progress.end());
    terminal.result(result);
    if (result.differences.length === 0)
      terminal.line(
        `${terminal.paint('good', 'undone')} to ${result.phase}${result.phase === 'preflight' ? ': the schema is as it was' : ''}`,
      );
    for (const line of result.differences) terminal.line(line);
    return result.differences.length === 0 ? 0 : 3;
  },
};

function phaseOf(text: string | undefined, otherwise: Phase): Phase {
  const phase = text === undefined ? otherwise : phases.find((known) => known === text);
  if (phase === undefined) throw new TenantryError('TNT_USAGE', `--to must be one of: ${phases.join(', ')}.`);
  return phase;
}

function printClasses({ terminal }: CommandInput, tables: readonly Classification[]): void {
  terminal.table(
    ['table', 'class', 'confidence', 'reason'],
    tables.map((table) => [table.table, table.class, table.confidence, table.reason]),
  );
}

function sqlOf({ steps }: Plan): string[] {
  let phase = '';
  return steps.flatMap((step) => {
    const head = step.phase === phase ? [] : [`\n-- phase: ${step.phase}`];
    phase = step.phase;
    return [...head, ...step.up.map(({ purpose, text }) => `-- ${purpose}\n${text.trim()};`)];
  });
}

function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}

export const adoptCommands = [inspect, classify, plan, run, status, verify, undo];
