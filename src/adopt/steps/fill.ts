import { ident, literal, type Statement } from '../../database/sql.ts';
import { keyColumns } from '../graph.ts';
import type { ForeignKey } from '../inspection.ts';
import { organizationKey } from '../key-text.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import {
  createAliases,
  joinCondition,
  keyPresent,
  parentRows,
  type RouteEnd,
  type TenantGraph,
  tenantOfRow,
} from '../tenant-sql.ts';
import { withoutRules } from '../decisions/apply-rule.ts';
import { columnGraph, tenantByColumns } from '../decisions/by-columns.ts';
import { isRuled, organizationSlug } from '../decisions/rule.ts';
import { decidedBody, decidingKeys } from '../decisions/fill-body.ts';
import { mayBeWithout } from '../decisions/follows.ts';
import { isByUse, planUse } from '../decisions/use.ts';
import { keysFromChildren } from './children.ts';
import type { FillMode } from './fill-mode.ts';
import { computeGenerated, storedColumns } from './generated.ts';
import { functionName, orphansFunction, triggerNames } from './names.ts';
import { triggerFunction } from './trigger-function.ts';

/** While a backfill runs, its own statements carry this setting: they bring the value themselves, set by set. */
export const backfillSetting = 'app.adopt_backfill';

interface UpDown {
  readonly up: Statement[];
  readonly down: Statement[];
}

/**
 * The triggers that keep the column right while the old application writes. They recompute on every change of a key, refuse a
 * tenant that contradicts the parent, and run as tenantry_owner, whom no policy blinds.
 */
export function planFill(plan: Plan, table: TablePlan, mode: FillMode): UpDown {
  const functions: UpDown[] = [
    triggerFunction('fill', table, table.class === 'root' ? rootBody(plan, table) : childBody(plan, table)),
  ];
  const triggers = fillTriggers(plan, table, mode);
  const children = keysFromChildren(plan, table.table);
  if (table.class !== 'root' && children.length > 0) {
    functions.push(triggerFunction('cascade', table, cascadeBody(plan, table)));
    triggers.push(cascadeTrigger(plan, table));
  }
  if (settles(table)) {
    functions.push(triggerFunction('settle', table, settleBody(plan, table)));
    triggers.push(settleTrigger(plan, table));
  }
  const { insert, update, cascade, settle } = triggerNames;
  const use = planUse(plan, table);
  return {
    up: [...functions.flatMap((f) => f.up), ...triggers, ...use.up],
    down: [
      ...use.down,
      ...[insert, update, cascade, settle].map((name) => ({
        purpose: 'as before',
        text: `drop trigger if exists ${name} on ${table.table}`,
      })),
      ...functions.flatMap((f) => f.down),
    ],
  };
}

/** Takes the guard away: from here on nothing passes by the trigger. */
export function planUnguard(plan: Plan, table: TablePlan, mode: FillMode): UpDown {
  return { up: fillTriggers(plan, table, 'alone'), down: fillTriggers(plan, table, mode) };
}

function fillTriggers(plan: Plan, table: TablePlan, mode: FillMode): Statement[] {
  const column = ident(plan.column);
  const held = (plan.keys[table.table] ?? []).map(({ name }) => name);
  const keys = [...held, ...[...table.via, ...decidingKeys(table)].flatMap(keyColumns)];
  const changed = storedColumns(table, keys).map((k) => `new.${ident(k)} is distinct from old.${ident(k)}`);
  const touched = [`new.${column} is distinct from old.${column}`, ...changed];
  // rows that the application leaves empty wait for the backfill; one that a trigger of ours touches is asked for its tenant
  const empty = `new.${column} is null${mode === 'beside' ? ' and pg_catalog.pg_trigger_depth() > 0' : ''}`;
  const condition = [empty, ...touched].join(' or ');
  const guard =
    mode === 'alone' ? '' : ` and pg_catalog.current_setting('${backfillSetting}', true) is distinct from 'on'`;
  const execute = `execute function ${functionName('fill', table.table)}()`;
  return [
    {
      purpose: 'every new row gets its tenant',
      text: `create or replace trigger ${triggerNames.insert} before insert on ${table.table} for each row ${execute}`,
    },
    {
      // not UPDATE OF: that would miss a key set by another trigger, and rows that move while the backfill passes
      purpose:
        mode === 'beside'
          ? 'and so does every row whose key changes while the backfill passes'
          : 'and so does every row that changes, also while the backfill passes',
      text: `create or replace trigger ${triggerNames.update} ${mode === 'beside' ? 'after' : 'before'} update on ${table.table} for each row when ((${condition})${guard}) ${execute}`,
    },
  ];
}

function rootBody(plan: Plan, table: TablePlan): string {
  const column = ident(plan.column);
  const key = (alias: string): string => organizationKey(alias, plan.keys[table.table] ?? []);
  const name = plan.root?.nameColumn ?? null;
  const label = name === null ? 'null::text' : `new.${ident(name)}::text`;
  return `declare
  v_tenant uuid;
begin
  if tg_op = 'UPDATE' and old.${column} is not null then
    if new.${column} is distinct from old.${column} then
      raise exception 'tenantry: % of a row of % cannot change', ${literal(plan.column)}, ${literal(table.table)} using errcode = '23514';
    end if;
    begin
      update tenantry.organizations set key = ${key('new')} where id = old.${column} and key = ${key('old')};
    exception when unique_violation or not_null_violation then
      -- another organization has that key (of a row that is gone): the old application goes on, and verify lists the row
      null;
    end;
    return new;
  end if;
  if ${key('new')} is null then
    return new;
  end if;
  v_tenant := tenantry.adopt_organization(${key('new')}, ${label});
  if new.${column} is not null and new.${column} <> v_tenant then
    raise exception 'tenantry: % of a new row of % is not that of its organization', ${literal(plan.column)}, ${literal(table.table)} using errcode = '23514';
  end if;
  new.${column} := v_tenant;
  return new;
end `;
}

/** Aliases that already hold the tenant end a route; those of unfilled parents climb on to the root. */
function climbing(plan: Plan): { graph: TenantGraph; end: RouteEnd } {
  const graph = columnGraph(plan);
  return { graph, end: (name, alias) => graph.climb?.(name, alias) };
}

/** `alone`: past rows without a tenant, by their keys. */
function lookUps(plan: Plan, key: ForeignKey, variable = 'v_tenant', alone = false): string {
  const column = ident(plan.column);
  const where = joinCondition(key, 'new', 'p');
  const { graph, end } = climbing(plan);
  const above = tenantOfRow(alone ? withoutRules(graph) : graph, key.parent, 'p', createAliases(), end);
  const climb =
    key.parent === plan.root?.table
      ? ''
      : `    if ${variable} is null then
      select ${above.expression} into ${variable} from ${parentRows(key)} p ${above.joins.join(' ')} where ${where};
    end if;\n`;
  return `  if ${variable} is null and ${keyPresent(key, 'new')} then
    select p.${column} into ${variable} from ${parentRows(key)} p where ${where};
${climb}  end if;\n`;
}

function childBody(plan: Plan, table: TablePlan): string {
  if (isByUse(table)) return byUseBody(plan, table);
  if (plan.mapping !== null && plan.keys[table.table] !== undefined)
    return decidedBody(plan, table, (...way) => lookUps(plan, ...way), ownKey(plan, table));
  if (table.via.length > 0 && (isRuled(table.rule) || mayBeWithout(plan, table)))
    return decidedBody(plan, table, (...way) => lookUps(plan, ...way), computeGenerated(table));
  const column = ident(plan.column);
  return `declare
  v_tenant uuid;
begin
${computeGenerated(table)}${table.via.map((key) => lookUps(plan, key)).join('')}  if v_tenant is null then
    -- no parent yet (a deferred key) or none at all: what the row had, what was asked for, or the caller's own
    if tg_op = 'UPDATE' then
      new.${column} := coalesce(new.${column}, old.${column});
    else
      new.${column} := coalesce(new.${column}, tenantry.context_tenant());
    end if;
  else
    if new.${column} is not null and new.${column} <> v_tenant
       and (tg_op = 'INSERT' or new.${column} is distinct from old.${column}) then
      raise exception 'tenantry: % of % contradicts %', ${literal(plan.column)}, ${literal(table.table)}, ${literal(table.via.map((k) => k.parent).join(', '))} using errcode = '23514';
    end if;
    new.${column} := v_tenant;
  end if;
${besideBackfill(plan, table)}  return new;
end `;
}

/** While the backfill passes, the trigger comes after the row and writes it again. */
function besideBackfill(plan: Plan, table: TablePlan): string {
  if (table.primaryKey.length === 0) return '';
  const column = ident(plan.column);
  const row = table.primaryKey.map((c) => `t.${ident(c)} = new.${ident(c)}`).join(' and ');
  return `  if tg_when = 'AFTER' then
    update ${table.table} t set ${column} = new.${column} where ${row} and t.${column} is distinct from new.${column};
  end if;
`;
}

/** A row that holds the key of its organization asks nobody else. */
function ownKey(plan: Plan, table: TablePlan): string {
  const key = organizationKey('new', plan.keys[table.table] ?? []);
  const slug = organizationSlug(table.rule?.orphans ?? 'stop');
  const home =
    slug === undefined
      ? ''
      : `  if v_tenant is null and ${key} is not null then\n    v_tenant := ${orphansFunction(slug)}();\n  end if;\n`;
  return `${computeGenerated(table)}  select h.id into v_tenant from tenantry.organizations h where h.key = ${key};\n${home}`;
}

/** No way of its own: who writes it has it, until somebody else uses it. */
function byUseBody(plan: Plan, table: TablePlan): string {
  const column = ident(plan.column);
  const kept =
    table.rule?.sharedRows === 'quarantine'
      ? ''
      : `  else\n    new.${column} := coalesce(new.${column}, old.${column});\n`;
  return `begin
  if tg_op = 'INSERT' then
    new.${column} := coalesce(new.${column}, tenantry.context_tenant());
${kept}  end if;
  return new;
end `;
}

/** A parent that moved to another tenant takes its rows along, as ON UPDATE CASCADE of a composite key would. */
function cascadeBody(plan: Plan, table: TablePlan): string {
  const column = ident(plan.column);
  const updates = keysFromChildren(plan, table.table).map(({ child, key, judged }) => {
    const where = joinCondition(key, 'c', 'new');
    // where decisions count, the fill trigger of the row tells its tenant anew
    if (judged)
      return `  update ${child.inherited ? 'only ' : ''}${child.table} c set ${column} = null where ${where};\n`;
    return `  update ${child.inherited ? 'only ' : ''}${child.table} c set ${column} = new.${column} where ${where} and c.${column} is distinct from new.${column};\n`;
  });
  return `begin\n${updates.join('')}  return null;\nend `;
}

function cascadeTrigger(plan: Plan, table: TablePlan): Statement {
  const column = ident(plan.column);
  const live = `pg_catalog.current_setting('${backfillSetting}', true) is distinct from 'on'`;
  const keys = storedColumns(table, [...table.via, ...decidingKeys(table)].flatMap(keyColumns));
  const repointed = keys.map((k) => `new.${ident(k)} is distinct from old.${ident(k)}`).join(' or ');
  const moved =
    table.required === 'never' || mayBeWithout(plan, table)
      ? // rows that were in quarantine take along what waited with them; what a backfill fills has children that it fills as well
        live
      : // a row that moves before the backfill comes to it may have children that were written since, and theirs
        `(old.${column} is not null or (${live} and (${repointed} or pg_catalog.pg_trigger_depth() > 0)))`;
  return {
    purpose: 'a row that moves to another tenant takes along what hangs on it',
    text: `create or replace trigger ${triggerNames.cascade} after update on ${table.table} for each row when (${moved} and old.${column} is distinct from new.${column}) execute function ${functionName('cascade', table.table)}()`,
  };
}

/** A deferrable key, and one that no constraint holds, lets a child come before its parent. */
function settles(table: TablePlan): boolean {
  return (
    table.required === 'at commit' ||
    table.via.some((key) => key.confirmed === true || (key.deferrable && table.required === 'never')) ||
    judgedLate(table)
  );
}

/** What a row is compared with may come after it: then it is judged again, whatever it was given. */
function judgedLate(table: TablePlan): boolean {
  return decidingKeys(table).some((key) => key.deferrable || key.confirmed === true);
}

/** When the transaction commits, the parent is there. */
function settleBody(plan: Plan, table: TablePlan): string {
  const column = ident(plan.column);
  const row = table.primaryKey.length > 0 ? table.primaryKey : [...new Set(table.via.flatMap(keyColumns))];
  const where = row.map((c) => `t.${ident(c)} = new.${ident(c)}`).join(' and ');
  if (judgedLate(table)) {
    const { decided } = tenantByColumns(plan, table, 't', createAliases());
    return `begin
  update ${table.inherited ? 'only ' : ''}${table.table} t set ${column} = null
    where ${where} and (select t.${column} is null or t.${column} is distinct from (${decided.expression}) from (values (1)) one ${decided.joins.join(' ')});
  return null;
end `;
  }
  // touching the column runs the fill trigger, which now finds the parent
  return `begin
  update ${table.inherited ? 'only ' : ''}${table.table} t set ${column} = null where ${where} and t.${column} is null;
  return null;
end `;
}

function settleTrigger(plan: Plan, table: TablePlan): Statement {
  // a way that PostgreSQL does not hold may lead nowhere for good: its own update of the column must not call it again
  const events =
    table.required === 'at commit'
      ? 'insert or update'
      : `insert or update of ${storedColumns(table, [...table.via, ...decidingKeys(table)].flatMap(keyColumns))
          .map(ident)
          .join(', ')}`;
  const when = judgedLate(table) ? '' : `when (new.${ident(plan.column)} is null) `;
  return {
    purpose: 'rows that came before their parent get its tenant when the transaction commits',
    text: `create constraint trigger ${triggerNames.settle} after ${events} on ${table.table} deferrable initially deferred for each row ${when}execute function ${functionName('settle', table.table)}()`,
  };
}
