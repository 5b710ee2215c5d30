import { Document, isSeq, LineCounter, parseDocument, type Scalar, YAMLMap } from 'yaml';
import { z } from 'zod';
import { TenantryError } from '../errors.ts';
import { hasTenant } from './classify.ts';
import { keyLabel } from './graph.ts';
import type { Inspection } from './inspection.ts';
import type { PlanDecisions } from './plan.ts';
import type { Plan, TablePlan } from './plan-types.ts';

const tableSchema = z.strictObject({
  class: z.enum(['root', 'owned', 'join', 'shared', 'undecided']),
  via: z.array(z.string().min(1)).min(1).optional(),
});

const fileSchema = z
  .strictObject({
    version: z.literal(1),
    database: z.string().min(1).optional(),
    tenant: z.strictObject({ column: z.string().min(1).max(63) }).optional(),
    root: z.strictObject({ table: z.string().min(1), name: z.string().min(1).optional() }).optional(),
    constant: z.strictObject({ name: z.string().trim().min(1).max(255) }).optional(),
    tables: z.record(z.string(), tableSchema),
  })
  .refine((file) => (file.root === undefined) !== (file.constant === undefined), {
    message: 'needs either root or constant',
    path: ['root'],
  });

/**
 * The plan as a file for people: to be read, edited and committed. It holds decisions and reasons, no statements; tables stand in
 * the order of their names, so that two versions compare well.
 */
export function writePlanFile(plan: Plan): string {
  const document = new Document({});
  document.commentBefore = [
    ' How this database becomes multi-tenant. Read it, decide what is undecided, commit it.',
    '   tenantry adopt plan --sql   prints every statement that follows from it',
    '   tenantry adopt run          carries it out; stops before changing anything while a table is undecided',
    '',
    ' class: root       its rows are the tenants; each becomes an organization',
    '        owned      each row belongs to one tenant, found by the foreign key in "via"',
    '        join       the same, for a table that joins others',
    '        shared     the same rows for every tenant; gets no tenant and no policy',
    '        undecided  you decide: owned (with "via") or shared',
    ' via:   columns of the foreign keys that lead to the tenant; the first that is not null counts',
  ].join('\n');
  document.set('version', 1);
  document.set('database', plan.database);
  document.set('tenant', document.createNode({ column: plan.column }));
  if (plan.root !== null) {
    const { table, nameColumn } = plan.root;
    document.set('root', document.createNode(nameColumn === null ? { table } : { table, name: nameColumn }));
  } else if (plan.constant !== null) {
    document.set('constant', document.createNode({ name: plan.constant.name }));
  }
  const tables = new YAMLMap();
  for (const table of plan.tables) {
    const value = document.createNode(
      plan.constant === null && hasTenant(table.class) && table.class !== 'root'
        ? { class: table.class, via: table.via.map(keyLabel) }
        : { class: table.class },
    );
    const key: Scalar = document.createNode(table.table) as Scalar;
    key.commentBefore = describeTable(plan, table);
    key.spaceBefore = tables.items.length > 0;
    if (value instanceof YAMLMap) flowLists(value);
    tables.set(key, value);
  }
  document.set('tables', tables);
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function flowLists(map: YAMLMap): void {
  const via = map.get('via', true);
  if (isSeq(via)) via.flow = true;
}

function describeTable(plan: Plan, table: TablePlan): string {
  const size = table.rows < 0 ? 'Never analyzed' : `About ${table.rows.toLocaleString('en-US')} rows`;
  const sure = table.confidence === 'decided' ? '' : ` (confidence: ${table.confidence})`;
  const lines = [`${size}; ${table.reason}${sure}.`];
  if (plan.constant === null && table.required === 'never')
    lines.push('Rows whose keys are all null stay without a tenant: only operators see them.');
  if (table.required === 'at commit')
    lines.push(
      'A key is deferrable: the tenant is filled when the transaction commits, and the column stays nullable.',
    );
  for (const key of table.checks) lines.push(`Also compared: ${keyLabel(key)} → ${key.parent}.`);
  for (const unique of table.uniques) {
    if (unique.proposal === 'rescope')
      lines.push(
        `Unique ${unique.name} (${unique.columns.join(', ')}) is global: ${unique.reason}. Proposed per tenant at contract.`,
      );
  }
  return lines.map((line) => ` ${line.trim()}`).join('\n');
}

/**
 * Reads a plan file that a person may have edited.
 *
 * @throws TNT_PLAN_INVALID with the line; TNT_PLAN_DRIFTED when its tables are not those of the database
 */
export function readPlanFile(text: string, inspection: Inspection): PlanDecisions {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = document.errors[0];
  if (problem !== undefined) {
    throw invalid(lines.linePos(problem.pos[0]).line, `not YAML (${problem.message})`);
  }
  const lineOf = (path: readonly PropertyKey[]): number => lineOfPath(document, lines, path);
  const parsed = fileSchema.safeParse(document.toJS());
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const path = issue?.path ?? [];
    const extra = issue?.code === 'unrecognized_keys' ? [...path, issue.keys[0] ?? ''] : path;
    const field = extra.map(String).join('.');
    throw invalid(lineOf(extra), `${field === '' ? 'the plan' : field}: ${issue?.message ?? 'is not valid'}`);
  }
  const file = parsed.data;
  refuseDrift(file, inspection);
  for (const [name, table] of Object.entries(file.tables)) {
    const keys = inspection.foreignKeys.filter((key) => key.table === name).map(keyLabel);
    for (const [i, label] of (table.via ?? []).entries()) {
      if (!keys.includes(label)) {
        const known =
          keys.length === 0 ? 'it has no foreign key' : `its foreign keys are ${keys.map((k) => `"${k}"`).join(', ')}`;
        throw invalid(
          lineOf(['tables', name, 'via', i]),
          `tables.${name}.via: ${label} is no foreign key of ${name}; ${known}`,
        );
      }
    }
  }
  if (file.root !== undefined && file.tables[file.root.table] === undefined) {
    throw invalid(lineOf(['root', 'table']), `root.table: ${file.root.table} is not among the tables`);
  }
  return {
    column: file.tenant?.column,
    root: file.root?.table,
    nameColumn: file.root?.name,
    constant: file.constant?.name,
    tables: Object.fromEntries(
      Object.entries(file.tables).map(([name, table]) => [name, name === file.root?.table ? {} : table]),
    ),
  };
}

function refuseDrift(file: z.infer<typeof fileSchema>, inspection: Inspection): void {
  const here = new Set(inspection.tables.map((table) => table.name));
  const planned = Object.keys(file.tables);
  const gone = planned.filter((name) => !here.has(name));
  const added = [...here].filter((name) => !planned.includes(name));
  if (gone.length === 0 && added.length === 0) return;
  const message =
    gone.length > 0 && gone.length === planned.length
      ? `The plan was made for another database (${file.database ?? 'unnamed'}): ${inspection.database} has none of its tables.`
      : [
          ...(gone.length > 0
            ? [`The plan names tables that are not in ${inspection.database}: ${gone.join(', ')}.`]
            : []),
          ...(added.length > 0
            ? [`${inspection.database} has tables that the plan does not name: ${added.join(', ')}.`]
            : []),
        ].join(' ');
  throw new TenantryError('TNT_PLAN_DRIFTED', message, { details: { missing: gone, unplanned: added } });
}

function lineOfPath(
  document: Document.Parsed | ReturnType<typeof parseDocument>,
  lines: LineCounter,
  path: readonly PropertyKey[],
): number {
  for (let length = path.length; length > 0; length -= 1) {
    const part = path.slice(0, length);
    const parent = document.getIn(part.slice(0, -1), true);
    const last = part.at(-1);
    // the key stands where a person looks; the value of a map begins a line below it
    const pair =
      parent instanceof YAMLMap
        ? parent.items.find((item) => String((item.key as Scalar).value) === String(last))
        : undefined;
    const node = pair === undefined ? document.getIn(part, true) : pair.key;
    const range = (node as Scalar | undefined)?.range;
    if (range !== undefined && range !== null) return lines.linePos(range[0]).line;
  }
  return 1;
}

function invalid(line: number, message: string): TenantryError {
  return new TenantryError('TNT_PLAN_INVALID', `Line ${line} of the plan: ${message}.`, { details: { line } });
}
