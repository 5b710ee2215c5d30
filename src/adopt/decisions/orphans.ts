import { literal } from '../../database/sql.ts';
import type { Plan, Step } from '../plan-types.ts';
import { orphansFunction } from '../steps/names.ts';
import { organizationSlug } from './rule.ts';

/** The organizations that take orphans: found by their slug, or made. Known by id from then on, so that a new slug changes nothing. */
export function planOrphanOrganizations(plan: Plan): Step[] {
  const slugs = new Set(plan.tables.flatMap((table) => organizationSlug(table.rule?.orphans ?? 'stop') ?? []));
  return [...slugs].sort().map((slug) => {
    const name = orphansFunction(slug);
    return {
      id: `expand/organization/${slug}`,
      phase: 'expand',
      table: null,
      kind: 'transaction',
      up: [
        {
          purpose: `rows that lead nowhere belong to the organization "${slug}"`,
          text: `do $do$
declare
  v_id uuid;
begin
  select o.id into v_id from tenantry.organizations o where o.slug = ${literal(slug)};
  if v_id is null then
    insert into tenantry.organizations (name, slug, key) values (${literal(slug)}, ${literal(slug)}, ${literal(`organization:${slug}`)}) returning id into v_id;
    insert into tenantry.adoption_organizations (run_id, organization_id)
      select r.id, v_id from tenantry.adoption_runs r where r.status = 'open' on conflict do nothing;
  end if;
  execute pg_catalog.format('create or replace function ${name.replaceAll("'", "''")}() returns uuid language plpgsql stable parallel safe as '
    '$f$ begin return %L::pg_catalog.uuid; end $f$', v_id);
  alter function ${name}() owner to tenantry_owner;
  revoke all on function ${name}() from public;
end $do$`,
        },
      ],
      down: [{ purpose: 'as before', text: `drop function if exists ${name}()` }],
    };
  });
}
