-- TD006: a table of the manifest does not exist
select p.name as object, null::text as level,
       format('its mode is %s, but there is no such table: it was dropped, renamed or moved', p.mode) as detail,
       format('delete from tenantry.table_modes where format(''%%I.%%I'', table_schema, table_name) = %L', p.name) as fix,
       null::text as statement,
       p.name as key
from tenantry.protected_tables() p
where p.relation is null
order by 1;
