-- Removes metrics, the ledger of usage, its counters, alerts and corrections.

drop trigger usage_limits on tenantry.custom_prices;
drop trigger usage_limits on tenantry.subscriptions;
drop trigger usage_limits on tenantry.subscription_phases;
drop table tenantry.usage_corrections, tenantry.usage_alerts, tenantry.usage_alert_levels, tenantry.usage_subjects,
  tenantry.usage_key_periods, tenantry.usage_periods, tenantry.usage_events, tenantry.usage_zones, tenantry.usage_accounts, tenantry.metrics;
do $$
declare
  f regprocedure;
begin
  for f in select p.oid::regprocedure from pg_proc p where p.pronamespace = (select c.relnamespace from pg_class c where c.oid = 'tenantry.migrations'::regclass)
    and (p.proname ~ 'usage' or p.proname in ('first_instant', 'period_edges'))
  loop
    execute format('drop function %s', f);
  end loop;
end $$;
