import { isDeepStrictEqual } from 'node:util';
import { hasTenant } from '../classify.ts';
import { rowDecisions } from '../decisions/classes.ts';
import { labelsOf } from '../graph.ts';
import type { TableName } from '../inspection.ts';
import type { ParsedPlanFile } from '../plan-file/parse.ts';
import type { Plan } from '../plan-types.ts';
import { difference, type PlanDifference } from './difference.ts';
import type { Drift } from '../../database/drift.ts';

const putBack = 'put the line back as it was, or take the adoption back first: tenantry adopt undo';
const accept = 'tenantry adopt plan --accept';

/**
 * The committed plan against an adoption that is open, and that one against the schema. What the run itself made, columns,
 * triggers, indexes and keys, is no difference. Pure.
 */
export function compareWithRun(parsed: ParsedPlanFile, plan: Plan, drift: readonly Drift[]): PlanDifference[] {
  return [
    ...compareDecisions(parsed, plan),
    ...compareKeyDecisions(parsed, plan),
    ...drift.map((one) => describe(parsed, plan, one)),
  ];
}

/** What the file decides otherwise than the adoption that is open, and cannot be changed in its course. */
export function compareDecisions({ file, lineOf }: ParsedPlanFile, plan: Plan): PlanDifference[] {
  const found: PlanDifference[] = [];
  const say = (path: readonly PropertyKey[], table: TableName | null, message: string): void => {
    found.push(difference('decision', lineOf(path), table, message, putBack));
  };
  const column = file.tenant?.column ?? 'tenant_id';
  if (column !== plan.column)
    say(['tenant', 'column'], null, `the file names the tenant column ${column}, the adoption ${plan.column}`);
  const root = file.root !== undefined && 'table' in file.root ? file.root.table : undefined;
  if (root !== undefined && root !== plan.root?.table)
    say(['root', 'table'], null, `the file has the root ${root}, the adoption ${plan.root?.table ?? 'none'}`);
  if (file.constant?.name !== undefined && file.constant.name !== plan.constant?.name)
    say(
      ['constant'],
      null,
      `the file has the constant "${file.constant.name}", the adoption ${plan.constant?.name ?? 'a root'}`,
    );
  const query = file.root !== undefined && 'query' in file.root ? file.root.query : undefined;
  if (query !== undefined && query.replace(/[;\s]+$/, '') !== plan.mapping?.query)
    say(['root', 'query'], null, `the file's root query is not the one of the adoption`);
  if (!same(file.references ?? [], plan.references))
    say(['references'], null, 'the references of the file are not those of the adoption');
  if (!same(file.memberships, plan.memberships?.decisions))
    say(['memberships'], null, 'the memberships of the file are not those of the adoption');
  // a file without tables leaves them all to the plan
  for (const { table, class: kind, via, decided: rows } of Object.keys(file.tables).length === 0 ? [] : plan.tables) {
    const decided = file.tables[table];
    if (decided === undefined) {
      say(['tables'], table, `${table} is in the adoption (${kind}) and not in the file`);
    } else if (decided.class !== kind) {
      say(['tables', table, 'class'], table, `${table} is ${decided.class} in the file and ${kind} in the adoption`);
    } else if (decided.via !== undefined && decided.via.join('|') !== labelsOf(via).join('|')) {
      say(
        ['tables', table, 'via'],
        table,
        `${table} gets its tenant by ${decided.via.join(', ')} in the file and by ${labelsOf(via).join(', ')} in the adoption`,
      );
    } else if (!same(rowDecisions({ ...decided, sharedRows: decided.shared_rows }), rows ?? {})) {
      say(['tables', table], table, `what the file decides about rows of ${table} is not what the adoption decides`);
    }
  }
  return found;
}

/** Decisions about keys may be added while an adoption is open; the next run takes them. */
function compareKeyDecisions({ file, lineOf }: ParsedPlanFile, plan: Plan): PlanDifference[] {
  return plan.tables.flatMap(({ table, uniques, compositeKeys }) => {
    const { uniques: wanted = {}, composite_keys: composite = [] } = file.tables[table] ?? {};
    const known = Object.fromEntries(
      uniques.flatMap(({ name, decided }) => (decided === null ? [] : [[name, decided]])),
    );
    return (
      [
        ['uniques', wanted, known],
        ['composite_keys', composite, compositeKeys],
      ] as const
    ).flatMap(([field, inFile, inPlan]) =>
      file.tables[table] === undefined || same(inFile, inPlan)
        ? []
        : [
            difference(
              'decision',
              lineOf(['tables', table, field]),
              table,
              `the file decides ${field} of ${table} otherwise than the adoption, which was not told yet`,
              'tenantry adopt run',
              { level: 'note' },
            ),
          ],
    );
  });
}

/** As a plan is kept: without what is left out. */
const same = (a: unknown, b: unknown): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(a ?? null)), JSON.parse(JSON.stringify(b ?? null)));

function describe({ file, lineOf }: ParsedPlanFile, plan: Plan, one: Drift): PlanDifference {
  const { kind, table, columns, parent, object } = one;
  const label = columns.join(', ');
  const decided = file.tables[table];
  const line = lineOf(['tables', table]);
  switch (kind) {
    case 'table-new': {
      if (decided?.class === 'shared') {
        const message = `the file says that ${table}, which came after the adoption, is shared; the database was not told`;
        return difference('not-accepted', line, table, message, accept, { level: 'note' });
      }
      const message = `${table} came after the adoption: nobody has said whether its rows belong to tenants`;
      const owned = decided !== undefined && hasTenant(decided.class);
      return difference(
        'table-new',
        decided === undefined ? lineOf(['tables']) : line,
        table,
        owned ? `the file says that ${table} is ${decided.class}, and nothing protects it` : message,
        owned
          ? `tenantry protect ${table}`
          : `rows of tenants: tenantry protect ${table} — rows for everybody: write "${table}: {class: shared}" under tables, commit, then: ${accept}`,
      );
    }
    case 'table-gone':
      return difference(
        kind,
        line,
        table,
        `${table} is in the adoption and not in the database: dropped, renamed or moved`,
        'rename it back; or forget it: tenantry doctor --only TD006 says how',
      );
    case 'key-new': {
      if ([...(decided?.keys ?? []), ...(decided?.via ?? [])].includes(label)) {
        const message = `the file names the foreign key (${label}) of ${table}, which came after the adoption; the database was not told`;
        return difference('not-accepted', line, table, message, accept, { columns, level: 'note' });
      }
      return difference(
        kind,
        line,
        table,
        `the foreign key (${label}) of ${table} to ${parent ?? ''} came after the adoption: nothing compares the tenants of its two ends`,
        `let it carry the tenant, foreign key (${plan.column}, ${label}) — or write it under keys of ${table}, commit, then: ${accept}`,
        { columns },
      );
    }
    case 'key-gone':
      return difference(
        kind,
        lineOf(['tables', table, 'via']),
        table,
        `${table} gets its tenant by (${label}) → ${parent ?? ''}, and that foreign key is gone: a parent may be missing`,
        `alter table ${table} add foreign key (${label}) references ${parent ?? ''} not valid — then validate it`,
        { columns },
      );
    default:
      return difference(
        kind,
        line,
        table,
        `the trigger ${object} of ${table} is missing or disabled: ${object.includes('refs') ? 'a row may point at a row of another tenant' : 'new rows get no tenant from their parent'}`,
        `alter table ${table} enable trigger ${object} — then: tenantry adopt verify`,
      );
  }
}
