-- TD059: Changes of old memberships could not be followed
select m.table_name as object, null::text as level,
       format('changes of %s could not be followed since %s (%s: %s): users and memberships are not what it says', m.table_name,
         to_char(m.first_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI'), m.sqlstate, m.message) as detail,
       'the next run follows them: tenantry adopt run; when it cannot either, it says why' as fix,
       null::text as statement,
       format('%s:%s', m.table_name, m.sqlstate) as key
from tenantry.adoption_missed_changes() m
order by 1, m.sqlstate;
