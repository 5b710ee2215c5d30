-- TD021: a logical slot streams the changes of every tenant
select format('replication slot %I', s.slot_name) as object, null::text as level,
       format('logical, plug-in %s: whoever reads it receives the changes of every tenant', s.plugin) as detail,
       format('Keep it only if its consumer may have every tenant''s rows; otherwise: select pg_drop_replication_slot(%L)', s.slot_name) as fix,
       null::text as statement,
       s.slot_name::text as key
from pg_catalog.pg_replication_slots s
where s.slot_type = 'logical' and s.database = current_database() and not s.temporary
order by 1;
