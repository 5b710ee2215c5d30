import { Document, type Scalar, YAMLMap } from 'yaml';
import { TenantryError } from '../errors.ts';
import { hasTenant } from './classify.ts';
import { rowDecisions } from './decisions/classes.ts';
import { labelsOf } from './graph.ts';
import type { Inspection } from './inspection.ts';
import type { PlanDecisions } from './plan.ts';
import { describeTable, fileHead, flowLists } from './plan-file/comments.ts';
import { invalid } from './plan-file/lines.ts';
import { setKeyDecisions } from './plan-file/key-decisions.ts';
import { parsePlanFile } from './plan-file/parse.ts';
import { offerComment, readReferences, setReferences } from './plan-file/references.ts';
import { setRowDecisions } from './plan-file/row-decisions.ts';
import { checkMemberships, setMemberships } from './plan-file/memberships.ts';
import { readRoot, setRoot } from './plan-file/root.ts';
import type { PlanFile } from './plan-file/schema.ts';
import { withoutWhatIsGone } from './plan-file/update.ts';
import type { Plan } from './plan-types.ts';

/**
 * The plan as a file for people: to be read, edited and committed. It holds decisions and reasons, no statements; tables stand in
 * the order of their names, so that two versions compare well.
 */
export function writePlanFile(plan: Plan): string {
  const document = new Document({});
  document.commentBefore = fileHead;
  document.set('version', 1);
  document.set('database', plan.database);
  document.set('tenant', document.createNode({ column: plan.column }));
  setRoot(document, plan);
  setReferences(document, plan);
  setMemberships(document, plan);
  const tables = new YAMLMap();
  for (const table of plan.tables) {
    const keys = labelsOf([...table.checks, ...(table.known ?? [])]);
    const value = document.createNode({
      class: table.class,
      ...(plan.constant === null && hasTenant(table.class) && table.via.length > 0 ? { via: labelsOf(table.via) } : {}),
      ...(keys.length === 0 ? {} : { keys }),
    });
    const key: Scalar = document.createNode(table.table) as Scalar;
    key.commentBefore = describeTable(plan, table);
    key.spaceBefore = tables.items.length > 0;
    if (value instanceof YAMLMap) {
      flowLists(value);
      setKeyDecisions(document, value, table);
      setRowDecisions(document, value, table.decided);
    }
    tables.set(key, value);
  }
  const key: Scalar = document.createNode('tables') as Scalar;
  const offers = offerComment(plan);
  if (offers !== undefined) key.commentBefore = offers;
  document.add(document.createPair(key, tables));
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/**
 * Reads a plan file that a person may have edited.
 *
 * @param update keeps the decisions about what is still there when tables or keys came or went; refuses that otherwise
 * @throws TNT_PLAN_INVALID with the line; TNT_PLAN_DRIFTED when its tables are not those of the database
 */
export function readPlanFile(text: string, inspection: Inspection, { update = false } = {}): PlanDecisions {
  const { file: read, lineOf } = parsePlanFile(text);
  refuseDrift(read, inspection, update);
  const file = update ? withoutWhatIsGone(read, inspection) : read;
  const { foreignKeys } = readReferences(file, inspection, lineOf);
  for (const [name, table] of Object.entries(file.tables)) {
    const keys = labelsOf(foreignKeys.filter((key) => key.table === name));
    for (const [i, label] of (table.via ?? []).entries()) {
      if (!keys.includes(label)) {
        const known =
          keys.length === 0 ? 'it has no foreign key' : `its foreign keys are ${keys.map((k) => `"${k}"`).join(', ')}`;
        throw invalid(
          lineOf(['tables', name, 'via', i]),
          `tables.${name}.via: ${label} is no foreign key of ${name} and no entry of references; ${known}`,
        );
      }
    }
  }
  const begun = Object.keys(file.tables).length > 0;
  if (file.root?.table !== undefined && begun && file.tables[file.root.table] === undefined) {
    throw invalid(lineOf(['root', 'table']), `root.table: ${file.root.table} is not among the tables`);
  }
  for (const table of Object.keys(file.root?.keys ?? {})) {
    if (!inspection.tables.some((facts) => facts.name === table))
      throw invalid(lineOf(['root', 'keys', table]), `root.keys: there is no table ${table}`);
  }
  const decisions: PlanDecisions = {
    column: file.tenant?.column,
    ...readRoot(file.root),
    constant: file.constant?.name,
    references: file.references ?? [],
    memberships: file.memberships,
    tables: Object.fromEntries(
      Object.entries(file.tables).map(([name, table]) => [name, decisionOf(name, table, file.root?.table)]),
    ),
  };
  checkMemberships(inspection, decisions, lineOf);
  return decisions;
}

/** `undecided` is the absence of a decision: with a reference confirmed meanwhile the table may be told. */
function decisionOf(
  name: string,
  {
    class: kind,
    shared_rows: sharedRows,
    composite_keys: compositeKeys,
    keys: _known,
    ...rest
  }: PlanFile['tables'][string],
  root: string | undefined,
): NonNullable<PlanDecisions['tables']>[string] {
  if (name === root) return { ...rowDecisions({ ...rest, sharedRows }), uniques: rest.uniques, compositeKeys };
  const all = { ...rest, sharedRows, compositeKeys };
  return kind === 'undecided' ? all : { class: kind, ...all };
}

function refuseDrift(file: PlanFile, inspection: Inspection, update: boolean): void {
  const here = new Set(inspection.tables.map((table) => table.name));
  const planned = Object.keys(file.tables);
  const gone = planned.filter((name) => !here.has(name));
  const added = [...here].filter((name) => !planned.includes(name));
  if ((gone.length === 0 && added.length === 0) || planned.length === 0) return;
  if (update && gone.length < planned.length) return;
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
