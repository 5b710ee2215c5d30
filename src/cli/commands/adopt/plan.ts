import { readFile, rename, writeFile } from 'node:fs/promises';
import { type Adopt, describeConflict, type PlanDecisions, type PlanResult } from '../../../adopt/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { Command, CommandInput } from '../../command.ts';
import { acceptCommittedPlan, checkCommittedPlan } from './plan-check.ts';
import { adoptOf, fileOption, planFile, printClasses } from './shared.ts';

export const planCommand: Command = {
  name: 'adopt plan',
  summary: 'Write tenantry.plan.yaml: each table’s class with its reason, for a person to decide.',
  description:
    'Reads only. Run again after an edit, or when the schema has changed: decisions in the file are kept.\n' +
    'Exit code 3 while something is undecided or in conflict. With --check, for CI: 1 when the schema has drifted from the\n' +
    'committed plan, or a new table or foreign key is unclassified; works before, in and after an adoption.',
  usage: '[FILE]',
  positionals: [0, 1],
  examples: [
    'tenantry adopt plan --root public.shops',
    'tenantry adopt plan --constant "System Tenant"',
    'tenantry adopt plan --sql > adopt.sql',
    'tenantry adopt plan --html plan.html',
    'tenantry adopt plan --check tenantry.plan.yaml',
  ],
  options: {
    ...fileOption,
    root: { type: 'string', value: 'TABLE', help: 'The table whose rows are the tenants.' },
    constant: { type: 'string', value: 'NAME', help: 'One organization of this name takes every row.' },
    column: { type: 'string', value: 'NAME', help: 'Name of the tenant column. Defaults to tenant_id.' },
    sql: { type: 'boolean', help: 'Print every statement of every phase and write no file.' },
    html: {
      type: 'string',
      value: 'OUT',
      help: 'Write the graph of tables, their reasons and the phases as one HTML page, and no plan file.',
    },
    check: { type: 'boolean', help: 'Compare the committed file with the database and write nothing.' },
    accept: {
      type: 'boolean',
      help: 'After an adoption: tell the database what the committed file says about what came since.',
    },
    yes: { type: 'boolean', short: 'y', help: 'Replace a plan file that exists, with its decisions.' },
  },
  async run(input) {
    const { terminal } = input;
    const adopt = await adoptOf(input, { migrated: false });
    const path = input.positionals[0] ?? input.option('file') ?? planFile;
    if (input.flag('check')) return checkCommittedPlan(input, adopt, path);
    if (input.flag('accept')) return acceptCommittedPlan(input, adopt, path);
    const decisions = await decisionsOf(input, adopt, path);
    const html = input.option('html');
    if (html !== undefined) {
      await writeFile(html, await adopt.page(decisions));
      terminal.line(`${terminal.paint('good', 'wrote')} ${html}: open it in a browser`);
      terminal.result({ file: html });
      return 0;
    }
    const { plan, file, conflicts, organizations, memberships } = await adopt.plan(decisions, { update: true });
    if (input.flag('sql')) terminal.line((await adopt.sql(decisions)).trimEnd());
    else {
      await writeFile(`${path}.new`, file);
      await rename(`${path}.new`, path);
      printClasses(input, plan.tables);
      terminal.line(
        `\n${terminal.paint('good', 'wrote')} ${path}: ${plan.order.length} of ${counted(plan.tables.length, 'table')} ${plan.order.length === 1 ? 'gets' : 'get'} a tenant, ${counted(plan.steps.length, 'step')}`,
      );
      for (const line of outlookOf(organizations, memberships)) terminal.line(line);
    }
    for (const conflict of conflicts)
      terminal.note(`${terminal.paint('bad', 'conflict')} ${describeConflict(conflict)}`);
    const undecided = plan.tables.filter((table) => table.class === 'undecided');
    if (undecided.length > 0)
      terminal.note(
        `${terminal.paint('warn', 'undecided')} ${undecided.map((table) => table.table).join(', ')}: decide them in ${path}`,
      );
    terminal.result({ plan, conflicts, organizations, memberships });
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
  if (existing !== undefined && !input.flag('yes') && !input.flag('sql') && input.option('html') === undefined) {
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

/** What it will make, in words. */
function outlookOf(organizations: number, memberships: PlanResult['memberships']): string[] {
  const lines = [`It makes ${counted(organizations, 'organization')}.`];
  if (memberships === null) return lines;
  const { users, memberships: members, withoutAdmin, otherRoles } = memberships;
  lines.push(`The old tables become ${counted(users, 'user')} with ${counted(members, 'membership')}.`);
  if (withoutAdmin > 0) lines.push(`${counted(withoutAdmin, 'organization')} will have members and no administrator.`);
  if (otherRoles.length > 0)
    lines.push(`Roles that the mapping does not name, so that they become "*": ${otherRoles.join(', ')}.`);
  return lines;
}
