import { TenantryError } from '../../errors.ts';
import { hasTenant } from '../classify.ts';
import { keyLabel, labelsOf } from '../graph.ts';
import type { ForeignKey, Inspection, TableName } from '../inspection.ts';
import type { PlanDecisions } from '../plan.ts';
import { readPlanFile } from '../plan-file.ts';
import type { ParsedPlanFile } from '../plan-file/parse.ts';
import { readReferences } from '../plan-file/references.ts';
import type { Plan } from '../plan-types.ts';
import { difference, type PlanDifference } from './difference.ts';

const planAgain = 'tenantry adopt plan — it keeps your decisions and proposes the rest; read and commit it';

/** The committed plan against the schema, where no adoption is open; `plan` makes the plan that follows from decisions. */
export async function compareWithSchema(
  text: string,
  parsed: ParsedPlanFile,
  inspection: Inspection,
  plan: (decisions: PlanDecisions) => Promise<Plan>,
): Promise<PlanDifference[]> {
  const { file } = parsed;
  const here = new Set(inspection.tables.map((table) => table.name));
  const planned = Object.keys(file.tables);
  if (planned.length > 0 && !planned.some((name) => here.has(name))) {
    const message = `The plan was made for another database (${file.database ?? 'unnamed'}): ${inspection.database} has none of its tables`;
    return [difference('table-gone', 1, null, message, 'look at DATABASE_URL, and at --file')];
  }
  const found = compareTables(parsed, here);
  const keys = keysOf(text, parsed, inspection, here);
  if (!Array.isArray(keys)) found.push(keys);
  else for (const table of planned) if (here.has(table)) found.push(...compareKeys(parsed, table, keys));
  if (!found.some((one) => one.level === 'drift'))
    found.push(...(await contradictions(text, parsed, inspection, plan)));
  return found;
}

function compareTables({ file, lineOf }: ParsedPlanFile, here: ReadonlySet<TableName>): PlanDifference[] {
  const found: PlanDifference[] = [];
  for (const [table, { class: kind }] of Object.entries(file.tables)) {
    const line = lineOf(['tables', table]);
    if (!here.has(table)) {
      found.push(difference('table-gone', line, table, `${table} is in the plan and not in the database`, planAgain));
    } else if (kind === 'undecided') {
      const at = lineOf(['tables', table, 'class']);
      const remedy = 'write class: owned (with via) or class: shared, then: tenantry adopt plan';
      found.push(difference('undecided', at, table, `${table} is undecided`, remedy));
    }
  }
  for (const table of [...here].filter((name) => file.tables[name] === undefined)) {
    const message = `${table} is in the database and not in the plan: nobody has said whether its rows belong to tenants`;
    found.push(difference('table-new', lineOf(['tables']), table, message, planAgain));
  }
  return found;
}

/** Declared keys, and the references that the file confirms; a difference where one of those is none. */
function keysOf(
  text: string,
  { file, lineOf }: ParsedPlanFile,
  inspection: Inspection,
  here: ReadonlySet<TableName>,
): ForeignKey[] | PlanDifference {
  try {
    return [...readReferences(file, inspection, lineOf).foreignKeys];
  } catch (error) {
    const gone = Object.keys(file.tables).some((name) => !here.has(name));
    return invalidDifference(error, text, lineOf, gone ? planAgain : undefined);
  }
}

function compareKeys(
  { file, lineOf }: ParsedPlanFile,
  table: TableName,
  keys: readonly ForeignKey[],
): PlanDifference[] {
  const { via = [], keys: known = [] } = file.tables[table] ?? {};
  const own = keys.filter((key) => key.table === table);
  const labels = labelsOf(own);
  const found: PlanDifference[] = [];
  for (const [field, list] of [
    ['via', via],
    ['keys', known],
  ] as const) {
    for (const [i, label] of list.entries()) {
      if (labels.includes(label)) continue;
      const what = field === 'via' ? 'its rows got their tenant by it' : 'the plan compared it';
      const message = `${table} has no foreign key on (${label}) any more: ${what}`;
      found.push(
        difference('key-gone', lineOf(['tables', table, field, i]), table, message, planAgain, {
          columns: label.split(', '),
        }),
      );
    }
  }
  const reported = new Set<string>();
  for (const key of own) {
    const label = keyLabel(key);
    if (!hasTenant(file.tables[key.parent]?.class) || via.includes(label) || known.includes(label)) continue;
    if (reported.has(label)) continue;
    reported.add(label);
    const message = `the foreign key (${label}) of ${table} to ${key.parent} is not in the plan: nothing compares the tenants of its two ends`;
    found.push(
      difference('key-new', lineOf(['tables', table]), table, message, planAgain, { columns: [...key.columns] }),
    );
  }
  return found;
}

/** What planning itself refuses, once the names are right. */
async function contradictions(
  text: string,
  { file, lineOf }: ParsedPlanFile,
  inspection: Inspection,
  plan: (decisions: PlanDecisions) => Promise<Plan>,
): Promise<PlanDifference[]> {
  const column = file.tenant?.column ?? 'tenant_id';
  // a schema that was dumped after an adoption has the column: there is nothing left to plan
  const adopted = inspection.tables.some(
    ({ name, columns }) => hasTenant(file.tables[name]?.class) && columns.some((one) => one.name === column),
  );
  try {
    const decisions = readPlanFile(text, inspection);
    if (adopted) return [];
    return (await plan(decisions)).tables
      .filter((one) => one.class === 'undecided')
      .map(({ table, reason }) => {
        const line = lineOf(['tables', table, 'class']);
        const message = `${table} is ${file.tables[table]?.class ?? 'undecided'} in the file, and that cannot be: ${reason}`;
        return difference('undecided', line, table, message, 'correct the line, then: tenantry adopt plan');
      });
  } catch (error) {
    return [invalidDifference(error, text, lineOf)];
  }
}

function invalidDifference(
  error: unknown,
  text: string,
  lineOf: ParsedPlanFile['lineOf'],
  remedy = 'correct the line, then: tenantry adopt plan',
): PlanDifference {
  if (!(error instanceof TenantryError)) throw error;
  const details = error.details as { line?: unknown; path?: unknown } | undefined;
  const named = /\b[Tt]able (\S+?)(?=[\s,:])/.exec(error.message)?.[1];
  const line =
    typeof details?.line === 'number'
      ? details.line
      : Array.isArray(details?.path)
        ? lineOf(details.path as readonly string[])
        : named !== undefined && text.includes(named)
          ? lineOf(['tables', named])
          : 1;
  const message = error.message.replace(/^Line \d+ of the plan: /, '').replace(/\.$/, '');
  return difference('invalid', line, named ?? null, message, remedy);
}
