-- Removes what subscriptions and billing periods do.

drop function tenantry.billed_usage(text[], timestamptz[], timestamptz[]);
drop function tenantry.usage_of_ranges(uuid, text[], timestamptz[], timestamptz[]);
drop function tenantry.billed_since(uuid, integer);
drop function tenantry.oldest_open_period(uuid, uuid, integer);
drop table tenantry.subscription_caps;
drop trigger keep_subscribed on tenantry.plan_metrics;
drop trigger keep_subscribed on tenantry.plans;
drop function tenantry.keep_subscribed_plan();
drop function tenantry.subscription_act(text, text, integer, text, text, text);
drop function tenantry.set_subscription_zone(uuid, text);
drop function tenantry.end_subscription(uuid, text, timestamptz);
drop function tenantry.change_subscription_plan(uuid, text, integer, text, timestamptz, text, boolean);
drop function tenantry.lock_subscription(uuid, timestamptz);
drop function tenantry.start_subscription(uuid, text, integer, text, timestamptz, text, integer, boolean);
drop function tenantry.find_plan(uuid, text, integer, boolean);
drop function tenantry.billing_now();
drop function tenantry.billing_period(uuid, uuid, timestamptz);
drop function tenantry.billing_edge(uuid, uuid, integer);
