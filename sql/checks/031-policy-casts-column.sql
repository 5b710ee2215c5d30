-- TD031: a policy casts the column instead of the constant
select r.name as object, null::text as level,
       format('policy %I casts %I in %s: no index over the column can be used', o.polname, a.attname, e.text) as detail,
       format('Cast the other side: %I = …::%s', a.attname, format_type(a.atttypid, a.atttypmod)) as fix, null::text as statement,
       format('%s:%s:%s', r.name, o.polname, a.attname) as key
from pg_catalog.pg_policy o
join (
  select c.oid, format('%I.%I', n.nspname, c.relname) as name
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
) r on r.oid = o.polrelid
cross join lateral (select concat_ws(' ', pg_get_expr(o.polqual, o.polrelid), pg_get_expr(o.polwithcheck, o.polrelid)) as text) e
join pg_catalog.pg_attribute a on a.attrelid = o.polrelid and a.attnum > 0 and not a.attisdropped
-- character varying to text is no conversion: its indexes stay usable
where e.text ~ (format('\((?:\w+\.)?%s\)::', regexp_replace(quote_ident(a.attname), '([^A-Za-z0-9_"])', '\\\1', 'g'))
  || case when a.atttypid in ('varchar'::regtype, 'bpchar'::regtype) then '(?!text)' else '' end)
order by 1, o.polname, a.attname;
