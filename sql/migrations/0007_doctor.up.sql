-- What doctor's checks start from: the protected tables, as the manifest and the catalogue know them.

-- SECURITY DEFINER, because the application's login may not read the manifest; it learns names and modes, never a row.
-- A table of the manifest that no longer exists has no relation. Kernel tables without policies answer to their owner alone.
create function tenantry.protected_tables() returns table (
  relation oid, owner oid, name text, tenant_column text, key_type text, owner_column text, mode text, managed boolean, kernel boolean
) language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select c.oid, c.relowner, format('%I.%I', m.table_schema, m.table_name), m.tenant_column, m.key_type, m.owner_column, m.mode,
         true, n.oid is not distinct from k.relnamespace
  from tenantry.table_modes m
  cross join (select relnamespace from pg_class where oid = 'tenantry.table_modes'::regclass) k
  left join pg_namespace n on n.nspname = m.table_schema
  left join pg_class c on c.relnamespace = n.oid and c.relname = m.table_name and c.relkind in ('r', 'p')
  union all
  select c.oid, c.relowner, format('%I.%I', n.nspname, c.relname), 'tenant_id', null, null, 'enforced', false, true
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where c.relnamespace = (select relnamespace from pg_class where oid = 'tenantry.table_modes'::regclass)
    and c.relkind in ('r', 'p') and c.relrowsecurity
    and exists (select from pg_policy p where p.polrelid = c.oid)
    and not exists (select from tenantry.table_modes m where m.table_schema = n.nspname and m.table_name = c.relname)
$$;
comment on function tenantry.protected_tables() is 'Host tables of the manifest, and kernel tables with policies.';
grant execute on function tenantry.protected_tables() to tenantry_app, tenantry_operator;
