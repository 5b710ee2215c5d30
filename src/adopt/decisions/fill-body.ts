import { ident, literal } from '../../database/sql.ts';
import type { ForeignKey } from '../inspection.ts';
import { organizationKey } from '../key-text.ts';
import type { Plan, TablePlan } from '../plan-types.ts';
import { orphansFunction } from '../steps/names.ts';
import { isOrphan } from './apply-rule.ts';
import { keyIn, organizationSlug, rowText } from './rule.ts';

/** Statements that put the tenant by one key into a variable that is null. */
export type LookUp = (key: ForeignKey, variable: string, alone?: boolean) => string;

/**
 * What the fill trigger does where decisions count: the same for a row that is written now as for one that was there. `start` are
 * statements that come first.
 */
export function decidedBody(plan: Plan, table: TablePlan, lookUp: LookUp, start: string): string {
  const column = ident(plan.column);
  const released =
    table.primaryKey.length === 0
      ? ''
      : `    select r.organization_id into v_tenant from tenantry.adoption_released r where r.table_name = ${literal(table.table)} and r.row_key = ${rowText('new', table)};\n`;
  const slug = organizationSlug(table.rule?.orphans ?? 'stop');
  const home = slug === undefined ? '' : `, ${orphansFunction(slug)}()`;
  return `declare
  v_tenant uuid;
  v_way uuid;
  v_quarantine boolean := false;
begin
${start}${table.via.map((key) => lookUp(key, 'v_tenant')).join('')}${judgement(table, lookUp)}  if not v_quarantine and v_tenant is null then
    -- its parent is there and has no tenant: the row waits with it
    v_quarantine := not (${orphaned(plan, table)});
  end if;
  if v_quarantine then
    v_tenant := null;
${released}    new.${column} := v_tenant;
    return new;
  end if;
  if v_tenant is null then
    -- no parent yet (a deferred key) or none at all: what the row had, what was asked for, or the caller's own
    if tg_op = 'UPDATE' then
      new.${column} := coalesce(new.${column}, old.${column}${home});
    else
      new.${column} := coalesce(new.${column}, tenantry.context_tenant()${home});
    end if;
    return new;
  end if;
  if new.${column} is not null and new.${column} <> v_tenant
     and (tg_op = 'INSERT' or new.${column} is distinct from old.${column}) then
    raise exception 'tenantry: % of % contradicts %', ${literal(plan.column)}, ${literal(table.table)}, ${literal(table.via.length === 0 ? 'the key of its organization' : table.via.map((k) => k.parent).join(', '))} using errcode = '23514';
  end if;
  new.${column} := v_tenant;
  return new;
end `;
}

/** Nothing that the row names is there. A key of a mapping that has no organization yet is like a parent that waits. */
function orphaned(plan: Plan, table: TablePlan): string {
  const held = plan.keys[table.table];
  return held === undefined ? isOrphan(table.via, 'new') : `${organizationKey('new', held)} is null`;
}

function judgement(table: TablePlan, lookUp: LookUp): string {
  const rule = table.rule;
  if (rule === undefined) return '';
  const key = rowText('new', table);
  const branches: { when: string; body: string }[] = [];
  const single = rule.rows.filter((row) => row.way === null).map((row) => row.key);
  if (single.length > 0) branches.push({ when: keyIn(key, single), body: '    v_quarantine := true;\n' });
  for (const way of new Set(rule.rows.flatMap((row) => row.way ?? []))) {
    const keys = rule.rows.filter((row) => row.way === way).map((row) => row.key);
    branches.push({ when: keyIn(key, keys), body: `    v_tenant := null;\n${lookUp(way, 'v_tenant')}` });
  }
  const quarantining = rule.ways.filter((way) => way.decision === 'quarantine');
  const compared = quarantining
    .map(
      ({ key: way }) =>
        `    v_way := null;\n${lookUp(way, 'v_way', true)}    v_quarantine := v_quarantine or coalesce(v_way <> v_tenant, false);\n`,
    )
    .join('');
  if (branches.length === 0) return compared;
  const [first, ...rest] = branches;
  return `  if ${first?.when ?? ''} then\n${first?.body ?? ''}${rest.map(({ when, body }) => `  elsif ${when} then\n${body}`).join('')}${
    compared === '' ? '' : `  else\n${compared}`
  }  end if;\n`;
}

/** The columns that decide about a row's tenant beside those of `via`. */
export function decidingKeys(table: TablePlan): ForeignKey[] {
  const { rule } = table;
  if (rule === undefined) return [];
  return [
    ...rule.ways.filter((way) => way.decision === 'quarantine').map((way) => way.key),
    ...rule.rows.flatMap((row) => row.way ?? []),
  ];
}
