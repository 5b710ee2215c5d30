-- Stops while a table of the application is protected: its way back to its former owner is kept in table_modes.
do $$
declare
  still text;
begin
  select string_agg(format('%s.%s (%s)', table_schema, table_name, mode), ', ' order by table_schema, table_name) into still
  from tenantry.table_modes
  where previous_owner is not null or mode = 'shadow';
  if still is not null then
    raise exception 'still protected: %', still
      using hint = 'Run first: tenantry isolation off TABLE --restore-owner';
  end if;
end $$;

drop function tenantry.record_shadow_misses(jsonb);
drop function tenantry.shadow_without_context(oid, "char");
drop function tenantry.shadow_miss(oid, "char");
drop table tenantry.shadow_misses;
drop table tenantry.table_modes;
