-- TD046: a function that the policies call is not as Tenantry made it
select format('tenantry.%s()', v.name) as object, null::text as level,
       case when f.oid is null then 'it does not exist: every policy that calls it fails'
            else concat_ws(', ',
              case when f.proowner <> n.nspowner then format('its owner is %s', f.proowner::regrole) end,
              case when l.lanname <> 'plpgsql' then format('it is written in %s, so its names are looked up with the caller''s search_path', l.lanname) end,
              case when f.provolatile <> 's' then 'it is not STABLE' end,
              case when f.proparallel <> 's' then 'it is not PARALLEL SAFE' end,
              case when f.prosecdef then 'it is SECURITY DEFINER' end,
              case when v.setting is not null and strpos(f.prosrc, v.setting) = 0 then format('it does not read %s', v.setting) end,
              case when not has_function_privilege('public', f.oid, 'execute') then 'PUBLIC may not execute it, so policies fail for roles that are not listed' end) end as detail,
       'tenantry migrate down, then up, on a copy shows its text; restore it with create or replace function.' as fix,
       null::text as statement,
       v.name as key
from (values
  ('current_tenant', 'app.tenant_id'), ('context_tenant', 'app.tenant_id'),
  ('current_tenant_key', 'app.tenant_key'), ('context_tenant_key', 'app.tenant_key'),
  ('current_user_id', 'app.user_id'), ('missing_tenant', null), ('legacy_tenant', null)
) v (name, setting)
join pg_catalog.pg_class k on k.oid = 'tenantry.migrations'::regclass
join pg_catalog.pg_namespace n on n.oid = k.relnamespace
left join pg_catalog.pg_proc f on f.pronamespace = n.oid and f.proname = v.name and f.pronargs = 0
left join pg_catalog.pg_language l on l.oid = f.prolang
where f.oid is null or f.proowner <> n.nspowner or l.lanname <> 'plpgsql' or f.provolatile <> 's' or f.proparallel <> 's' or f.prosecdef
   or (v.setting is not null and strpos(f.prosrc, v.setting) = 0)
   or not has_function_privilege('public', f.oid, 'execute')
order by 1;
