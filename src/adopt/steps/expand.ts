import { ident, literal, type Statement } from '../../database/sql.ts';
import type { Inspection } from '../inspection.ts';
import type { Plan, Step, TablePlan } from '../plan-types.ts';
import { backfillStep, planSuspension } from './backfill.ts';
import { planFill } from './fill.ts';
import { fillMode } from './fill-mode.ts';

/** The column of one table, in a transaction of its own. */
export function planColumn(plan: Plan, table: TablePlan): Step {
  const column = ident(plan.column);
  const base = {
    phase: 'expand',
    table: table.table,
    kind: 'transaction',
    id: `expand/${table.table}/column`,
  } as const;
  if (table.inherits.length > 0) {
    // ADD COLUMN and DROP COLUMN of the table it inherits from reach this one
    return plan.constant === null
      ? { ...base, up: grantToOwner(table), down: revokeFromOwner(table) }
      : { ...base, up: [], down: [] };
  }
  if (plan.constant !== null) {
    return {
      ...base,
      up: [
        {
          purpose: `${plan.column}: the default is evaluated once for the rows that exist, so nothing is rewritten`,
          text: `alter table ${table.table} add column ${column} uuid not null default tenantry.adopt_default_tenant()`,
        },
      ],
      down: [dropColumn(plan, table)],
    };
  }
  return {
    ...base,
    up: [
      ...grantToOwner(table),
      { purpose: `${plan.column}, empty for now`, text: `alter table ${table.table} add column ${column} uuid` },
    ],
    down: [dropColumn(plan, table), ...revokeFromOwner(table)],
  };
}

/** The fill triggers of one table and, for the root, its organizations. Runs when every table has its column, parents first. */
export function planTriggers(plan: Plan, table: TablePlan, triggers: Inspection['triggers']): Step[] {
  if (plan.constant !== null) return [];
  const fill = planFill(plan, table, fillMode(plan, table, triggers));
  const { before, after } = planSuspension(table, triggers, 'expand');
  return [
    {
      phase: 'expand',
      table: table.table,
      kind: 'transaction',
      id: `expand/${table.table}/triggers`,
      up: fill.up,
      down: fill.down,
    },
    // The organizations of the root are made before any child has a trigger: from then on every new row finds its tenant.
    ...(table.class === 'root'
      ? [...before, ...table.leaves.map((leaf) => backfillStep(plan, table, leaf, 'expand')), ...after]
      : []),
  ];
}

/** The use of the schemas: for the role that the triggers run as, and for the runtime. */
export function planSchemas(plan: Plan, inspection: Inspection): Step[] {
  const names = [...new Set(plan.tables.filter((t) => plan.order.includes(t.table)).map((t) => t.schema))];
  return names.flatMap((name): Step[] => {
    const usedBy = inspection.schemas.find((schema) => schema.name === name)?.usedBy ?? [];
    const roles = ['tenantry_owner', 'tenantry_app'].filter((role) => !usedBy.includes(role)).join(', ');
    if (roles === '') return [];
    const schema = ident(name);
    return [
      {
        id: `expand/${schema}/usage`,
        phase: 'expand',
        table: null,
        kind: 'transaction',
        up: [
          { purpose: 'the fill triggers run as tenantry_owner', text: `grant usage on schema ${schema} to ${roles}` },
        ],
        down: [{ purpose: 'as before', text: `revoke usage on schema ${schema} from ${roles}` }],
      },
    ];
  });
}

/** The one organization that takes every row, and the default that new rows get: the caller's tenant, else that one. */
export function planConstant(constant: { readonly name: string; readonly key: string }): Step {
  return {
    id: 'expand/organization',
    phase: 'expand',
    table: null,
    kind: 'transaction',
    up: [
      {
        purpose: `the organization "${constant.name}"`,
        text: `select tenantry.adopt_organization(${literal(constant.key)}, ${literal(constant.name)})`,
      },
      {
        purpose: 'new rows belong to the tenant of the context, and without one to this organization',
        text: `do $do$
begin
  execute pg_catalog.format(
    'create or replace function tenantry.adopt_default_tenant() returns uuid language plpgsql stable parallel safe as '
    '$f$ begin return coalesce(tenantry.context_tenant(), %L::pg_catalog.uuid); end $f$',
    (select o.id from tenantry.organizations o where o.key = ${literal(constant.key)}));
  alter function tenantry.adopt_default_tenant() owner to tenantry_owner;
  grant execute on function tenantry.adopt_default_tenant() to public;
end $do$`,
      },
    ],
    down: [{ purpose: 'remove the default', text: 'drop function if exists tenantry.adopt_default_tenant()' }],
  };
}

function dropColumn(plan: Plan, table: TablePlan): Statement {
  return { purpose: 'as before', text: `alter table ${table.table} drop column if exists ${ident(plan.column)}` };
}

function grantToOwner(table: TablePlan): Statement[] {
  return [
    {
      purpose: 'the fill triggers run as tenantry_owner',
      text: `grant select, update on ${table.table} to tenantry_owner`,
    },
  ];
}

function revokeFromOwner(table: TablePlan): Statement[] {
  return [{ purpose: 'as before', text: `revoke select, update on ${table.table} from tenantry_owner` }];
}
