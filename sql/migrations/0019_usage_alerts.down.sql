-- Nobody is told any more of what is used.

drop trigger usage_limits on tenantry.namespaces;
drop function tenantry.tell_usage_alerts(uuid[], uuid[], text[], text[], timestamptz[], timestamptz[], timestamptz[], boolean[], tenantry.usage_counters[], timestamptz),
  tenantry.usage_namespace_changed(), tenantry.refresh_usage_alerts(uuid, uuid), tenantry.check_usage_alerts(uuid, uuid, text, text, timestamptz),
  tenantry.caller_usage_limit(text), tenantry.usage_limit(uuid, text);
