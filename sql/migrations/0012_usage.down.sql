-- Removes metrics, the ledger of usage, its counters, alerts and corrections.

drop table tenantry.usage_corrections, tenantry.usage_alerts, tenantry.usage_alert_levels, tenantry.usage_subjects,
  tenantry.usage_key_periods, tenantry.usage_periods, tenantry.usage_events, tenantry.usage_zones, tenantry.usage_accounts, tenantry.metrics;
drop function tenantry.refuse_usage_change(), tenantry.drop_usage(), tenantry.open_usage_accounts(uuid[]),
  tenantry.usage_edges(uuid, text, timestamptz), tenantry.period_edges(text, text, timestamptz),
  tenantry.first_instant(text, timestamp);
