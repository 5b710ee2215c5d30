-- Removes metrics, the ledger of usage, its counters, alerts and corrections.

drop trigger usage_limits on tenantry.custom_prices;
drop trigger usage_limits on tenantry.subscriptions;
drop trigger usage_limits on tenantry.subscription_phases;
drop view tenantry.usage_periods;
drop table tenantry.usage_corrections, tenantry.usage_alerts, tenantry.usage_alert_levels, tenantry.usage_subjects,
  tenantry.usage_key_periods, tenantry.usage_counters, tenantry.usage_events, tenantry.usage_zones, tenantry.usage_accounts, tenantry.metrics;
drop domain tenantry.usage_event_id, tenantry.usage_quantity, tenantry.usage_step;
drop function tenantry.usage_limits_changed(), tenantry.caller_reads_usage(), tenantry.usage_edges(uuid, text, timestamptz),
  tenantry.period_edges(text, text, timestamptz), tenantry.first_instant(text, timestamp), tenantry.drop_usage(), tenantry.refuse_usage_change();
