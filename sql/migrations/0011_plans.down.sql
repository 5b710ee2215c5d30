-- Removes plans, custom prices and subscriptions with everything in them.

drop function tenantry.tenant_time_zone(uuid);
drop function tenantry.plan_rate(uuid, text);
drop function tenantry.plan_limit(uuid, text);
drop function tenantry.plan_at(uuid, timestamptz);
drop table tenantry.subscription_zones, tenantry.subscription_phases, tenantry.subscriptions, tenantry.custom_prices,
  tenantry.tenant_plan_metrics, tenantry.tenant_plans, tenantry.plan_metrics, tenantry.plans;
drop function tenantry.is_time_zone(text);
drop function tenantry.valid_price(text, numeric, boolean, text, jsonb, numeric, numeric);
drop function tenantry.valid_tiers(jsonb);
