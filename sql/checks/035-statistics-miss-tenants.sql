-- TD035: tenants joined since the statistics were made
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       format('since the last ANALYZE %s joined and %s rows changed: the planner does not know the new ones and scans where it should look up',
         case o.joined when 1 then 'a tenant' else o.joined || ' tenants' end, s.n_mod_since_analyze) as detail,
       format('analyze %s; alter table %s set (autovacuum_analyze_scale_factor = 0.01)', p.name, p.name) as fix,
       format('analyze %s', p.name) as statement,
       p.name as key
from protected p
join pg_catalog.pg_stat_all_tables s on s.relid = p.relation
cross join lateral (
  select count(*) as joined from tenantry.organizations g
  where g.created_at > greatest(s.last_analyze, s.last_autoanalyze)
) o
where s.n_mod_since_analyze > 1000 and o.joined > 0
order by 1;
