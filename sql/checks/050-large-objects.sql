-- TD050: large objects are open to every tenant
select format('large objects of %s', l.lomowner::regrole) as object, null::text as level,
       format('%I may read %s of them: large objects have no policies, and their ids are there for all to list', current_user, count(*)) as detail,
       'Keep the bytes in a bytea column of a protected table, or outside the database; then lo_unlink() them.' as fix,
       null::text as statement,
       l.lomowner::regrole::text as key
from pg_catalog.pg_largeobject_metadata l
where pg_has_role(current_user, l.lomowner, 'usage')
   or current_setting('lo_compat_privileges')::boolean
   or exists (select from aclexplode(l.lomacl) a where a.grantee = 0 or pg_has_role(current_user, a.grantee, 'usage'))
group by l.lomowner
order by 1;
