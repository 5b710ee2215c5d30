import type { ContractResult } from '../adopt-types.ts';
import { ident, literal, qualifiedName, type Statement } from '../../database/sql.ts';
import type { IndexStep, Plan, RetireStep, Step, TablePlan, UniquePlan } from '../plan-types.ts';
import { objectName } from '../steps/names.ts';
import { ownRows, rowKey } from '../steps/verify.ts';

const listed = 20;

export function perTenant(table: TablePlan): UniquePlan[] {
  return table.uniques.filter((unique) => unique.decided === 'per-tenant');
}

/** New keys must hold when their index is made; those that are global already are unique per tenant too. */
export function planUniqueChecks(plan: Plan, table: TablePlan): Step[] {
  return perTenant(table)
    .filter((unique) => unique.definition === null)
    .map((unique): Step => {
      const columns = [plan.column, ...unique.columns].map((column) => `t.${ident(column)}`).join(', ');
      return {
        id: `verify/${table.table}/unique/${unique.name}`,
        phase: 'verify',
        table: table.table,
        kind: 'check',
        optional: true,
        up: [
          duplicates(table, {
            columns,
            where: unique.columns.map((column) => `t.${ident(column)} is not null`).join(' and '),
            what: `rows with a value of ${unique.name} that another row of their tenant has`,
          }),
        ],
        down: [],
      };
    });
}

/** The key per tenant, made beside the one that is there: until contract both hold. */
export function planUniqueIndexes(plan: Plan, table: TablePlan): Step[] {
  return perTenant(table).map((unique): IndexStep => {
    const { name, tail } = successor(plan, table, unique);
    const index = qualifiedName(table.schema, name);
    return {
      id: `tighten/${table.table}/unique/${unique.name}`,
      phase: 'tighten',
      table: table.table,
      kind: 'index',
      optional: true,
      unique: true,
      index,
      relation: table.table,
      columns: [plan.column, ...unique.columns],
      ...(unique.definition === null ? {} : { tail }),
      up: [
        {
          purpose: `unique per tenant${unique.definition === null ? '' : `, beside ${unique.name}`}`,
          text: `create unique index concurrently ${ident(name)} on ${table.table} using btree (${ident(plan.column)}, ${tail}`,
          outsideTransaction: true,
        },
      ],
      down: [{ purpose: 'as before', text: `drop index concurrently if exists ${index}`, outsideTransaction: true }],
    };
  });
}

/** The global key goes. Two tenants may have the same value from here on; until they have, there is a way back. */
export function planRetirements(plan: Plan, table: TablePlan, phase: 'enforced' | 'contract' = 'contract'): Step[] {
  return perTenant(table).flatMap((unique): RetireStep[] => {
    const { definition } = unique;
    if (definition === null) return [];
    const index = qualifiedName(table.schema, unique.name);
    const present = definition.keys.map((key) => `(${key}) is not null`);
    return [
      {
        id: `${phase}/${table.table}/unique/${unique.name}`,
        phase,
        table: table.table,
        kind: 'retire',
        optional: true,
        unique: true,
        index,
        relation: table.table,
        columns: unique.columns,
        tail: definition.tail,
        successor: qualifiedName(table.schema, successor(plan, table, unique).name),
        taken: duplicates(table, {
          columns: definition.keys.join(', '),
          where: [...present, ...(definition.where === null ? [] : [`(${definition.where})`])].join(' and '),
          what: `rows with a value of ${unique.name} (${unique.columns.join(', ')}) that another row has`,
        }),
        up: unique.constraint
          ? [
              {
                purpose: `two tenants may have the same value`,
                text: `alter table ${table.table} drop constraint ${ident(unique.name)}`,
              },
            ]
          : [
              {
                purpose: `two tenants may have the same value`,
                text: `drop index concurrently if exists ${index}`,
                outsideTransaction: true,
              },
            ],
        down: [
          {
            purpose: 'as before; refused when two tenants have the same value by now',
            text: `create unique index concurrently ${ident(unique.name)} on ${table.table} using btree (${definition.tail}`,
            outsideTransaction: true,
          },
          ...restore(table, unique, index),
        ],
      },
    ];
  });
}

function restore(table: TablePlan, { name, constraint, definition }: UniquePlan, index: string): Statement[] {
  const statement = (text: string): Statement => ({ purpose: 'as before', text });
  return [
    ...(constraint
      ? [statement(`alter table ${table.table} add constraint ${ident(name)} unique using index ${ident(name)}`)]
      : []),
    ...(definition?.clustered === true ? [statement(`alter table ${table.table} cluster on ${ident(name)}`)] : []),
    ...(definition?.comment == null ? [] : [statement(`comment on index ${index} is ${literal(definition.comment)}`)]),
    ...(definition?.constraintComment == null
      ? []
      : [
          statement(
            `comment on constraint ${ident(name)} on ${table.table} is ${literal(definition.constraintComment)}`,
          ),
        ]),
  ];
}

function successor(plan: Plan, table: TablePlan, unique: UniquePlan): { name: string; tail: string } {
  if (unique.definition !== null)
    return { name: objectName(unique.name, plan.column, 'key'), tail: unique.definition.tail };
  return {
    name: objectName(`${table.name}_${unique.columns.join('_')}`, plan.column, 'key'),
    tail: `${unique.columns.map(ident).join(', ')})`,
  };
}

/** Rows that share a value, as a check tells them: one row of `finding, rows, keys`, none without. Keys are listed in groups. */
function duplicates(
  table: TablePlan,
  { columns, where, what }: { readonly columns: string; readonly where: string; readonly what: string },
): Statement {
  const of = where === '' ? '' : ` where ${where}`;
  return {
    purpose: `${table.table}: ${what}`,
    text: `select ${literal(what)} as finding, sum(d.rows)::float8 as rows, (array_agg(d.keys order by d.keys))[1:${listed}] as keys
from (select count(*) as rows, string_agg(${rowKey(table, 't')}, ' = ' order by ${rowKey(table, 't')}) as keys from ${ownRows(table)} t${of} group by ${columns} having count(*) > 1) d
having count(*) > 0`,
  };
}

/** What contract did about each key, and what nobody has decided. */
export function contractOutcome(plan: Plan): Pick<ContractResult, 'retired' | 'undecided'> {
  return {
    retired: plan.steps.flatMap((step) => (step.kind === 'retire' ? [step.index] : [])),
    undecided: plan.tables.flatMap((table) =>
      table.uniques.flatMap(({ name, proposal, decided, reason }) =>
        decided === null && proposal === 'per-tenant' ? [{ table: table.table, name, reason }] : [],
      ),
    ),
  };
}
