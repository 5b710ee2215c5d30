-- TD034: the planner has no statistics of a protected table
with protected as (
  select * from tenantry.protected_tables() where relation is not null
)
select p.name as object, null::text as level,
       'it was never analyzed: the planner guesses how many rows a tenant has' as detail,
       format('analyze %s', p.name) as fix, format('analyze %s', p.name) as statement,
       p.name as key
from protected p
where pg_stat_get_last_analyze_time(p.relation) is null and pg_stat_get_last_autoanalyze_time(p.relation) is null
  and pg_relation_size(p.relation) > 65536
order by 1;
