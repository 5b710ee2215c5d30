import { ident } from '../../database/sql.ts';
import { organizationKey } from '../key-text.ts';
import type { Plan, Step } from '../plan-types.ts';
import { dollarQuoted } from './trigger-function.ts';

/** The step after which `tenantry.adopt_organizations()` is there. */
export const mappingStep = 'expand/organizations';

/**
 * The organizations of a mapping query: one for each of its rows that has none yet. The function stays, and runs again at each
 * `adopt run`: what waited for a new organization then gets its tenant. It runs as whoever calls it, who must be able to read
 * what the query reads.
 */
export function planMapping(plan: Plan): Step[] {
  if (plan.mapping === null) return [];
  const column = ident(plan.column);
  const waiting = Object.entries(plan.keys).map(([table, held]) => {
    const key = organizationKey('t', held);
    return `    update ${table} t set ${column} = null where t.${column} is null and exists (select from tenantry.organizations o where o.key = ${key});\n`;
  });
  const body = `declare
  v_made integer;
begin
  select count(tenantry.adopt_organization(m.key, m.name)) into v_made
    from (select pg_catalog.to_jsonb(q.key) #>> '{}' as key, pg_catalog.to_jsonb(q) ->> 'name' as name from (
${plan.mapping.query}
    ) q) m
    where m.key is not null and not exists (select from tenantry.organizations o where o.key = m.key);
  if p_settle then
    -- their fill triggers look again
${waiting.join('')}  end if;
  return v_made;
end `;
  return [
    {
      id: mappingStep,
      phase: 'expand',
      table: null,
      kind: 'transaction',
      up: [
        {
          purpose: 'one organization for each row of the mapping query that has none, and the rows that waited for it',
          text: `create or replace function tenantry.adopt_organizations(p_settle boolean default true) returns integer language plpgsql volatile set search_path = pg_catalog, pg_temp as ${dollarQuoted(body)}`,
        },
        { purpose: 'those that there are now', text: 'select tenantry.adopt_organizations(false)' },
      ],
      down: [{ purpose: 'as before', text: 'drop function if exists tenantry.adopt_organizations(boolean)' }],
    },
  ];
}
