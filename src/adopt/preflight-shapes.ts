import { ident } from '../database/sql.ts';
import { keyLabel } from './graph.ts';
import type { Inspection } from './inspection.ts';
import type { Plan, TablePlan } from './plan-types.ts';
import type { PreflightFinding } from './preflight.ts';
import { triggerNames } from './steps/names.ts';

/** What the shape of a table asks of an adoption: triggers in the wrong order, tables that inherit, ways that nothing holds. */
export function shapeFindings(inspection: Inspection, plan: Plan, tables: readonly TablePlan[]): PreflightFinding[] {
  if (plan.constant !== null) return tables.flatMap(inheritance);
  return [
    ...tables.flatMap((table) => lateTriggers(inspection, table)),
    ...tables.flatMap((table) => unidentified(inspection, table)),
    ...tables.flatMap(inheritance),
    ...tables.flatMap((table) => references(inspection, table)),
    ...functions(inspection, tables),
  ];
}

/** BEFORE triggers fire in the order of their names, as bytes: one behind ours may set a key that ours has read. */
function lateTriggers(inspection: Inspection, table: TablePlan): PreflightFinding[] {
  return inspection.triggers
    .filter(
      (trigger) =>
        trigger.table === table.table &&
        trigger.timing === 'before' &&
        trigger.enabled !== 'D' &&
        (trigger.events.includes('insert') || trigger.events.includes('update')) &&
        Buffer.compare(Buffer.from(trigger.name), Buffer.from(triggerNames.insert)) > 0,
    )
    .map((trigger) => ({
      code: 'trigger-order',
      level: 'blocker' as const,
      object: table.table,
      message: `trigger ${trigger.name} of ${table.table} fires after the one that fills the tenant, and may still change the key that it comes by`,
      fix: `alter trigger ${ident(trigger.name)} on ${table.table} rename to ${ident(`a_${trigger.name}`)};`,
    }));
}

/** PostgreSQL refuses updates of a table that is published with them and whose rows nothing tells apart. */
function unidentified(inspection: Inspection, table: TablePlan): PreflightFinding[] {
  const found = inspection.published.find(
    ({ table: name, updatesRefused }) =>
      updatesRefused === true && (name === table.table || table.leaves.includes(name)),
  );
  if (found === undefined) return [];
  return [
    {
      code: 'publication-without-identity',
      level: 'blocker',
      object: table.table,
      message: `publication ${found.publication} sends the updates of ${found.table}, whose rows nothing tells apart: PostgreSQL refuses to update it, so its rows cannot be filled`,
      fix: `alter table ${found.table} replica identity full;`,
    },
  ];
}

function inheritance(table: TablePlan): PreflightFinding[] {
  if (table.inherits.length === 0) return [];
  return [
    {
      code: 'inheritance',
      level: 'warning',
      object: table.table,
      message: `${table.table} inherits from ${table.inherits.join(', ')}: triggers and keys do not come down, so it is filled by its own; the column and the policies come from above`,
    },
  ];
}

/** A way that PostgreSQL does not hold, and that no index serves: each parent that moves reads the whole table. */
function references(inspection: Inspection, table: TablePlan): PreflightFinding[] {
  return table.via
    .filter((key) => key.confirmed === true)
    .map((key): PreflightFinding => {
      const led = inspection.tables.find((facts) => facts.name === table.table)?.leadingColumns ?? [];
      const served = [...key.columns, ...(key.when === undefined ? [] : [key.when.column])].some((c) =>
        led.includes(c),
      );
      return {
        code: 'reference-without-constraint',
        level: served ? 'note' : 'warning',
        object: table.table,
        message: `no constraint holds (${keyLabel(key)}) of ${table.table}: a row may lead nowhere, and then has no tenant${
          served
            ? ''
            : `; no index leads with it, so each row of ${key.parent} that moves to another tenant reads the whole table`
        }`,
        ...(served
          ? {}
          : { fix: `create index concurrently on ${table.table} (${key.columns.map(ident).join(', ')});` }),
      };
    });
}

/** Functions that name tables of tenants and run with the rights of their owner: policies bind that one, not the caller. */
function functions(inspection: Inspection, tables: readonly TablePlan[]): PreflightFinding[] {
  const names = new Set(tables.map((table) => table.table));
  return inspection.functions
    .filter((fn) => fn.securityDefiner && fn.touches.some((table) => names.has(table)))
    .map((fn) => ({
      code: 'function-definer',
      level: 'note' as const,
      object: fn.name,
      message: `function ${fn.name} names ${fn.touches.filter((table) => names.has(table)).join(', ')} and runs as ${fn.owner}: the policies count for that role, with the tenant of the caller`,
    }));
}
