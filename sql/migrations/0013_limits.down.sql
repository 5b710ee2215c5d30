-- Removes limits, reservations under way and the states of rate limits.

drop function tenantry.rate_forget(text[]);
drop function tenantry.rate_sweep(integer);
drop function tenantry.tenant_rate(text);
drop function tenantry.rate_take(text[], integer[], integer[], double precision[], double precision[], double precision[]);
drop function tenantry.rate_decide(double precision, integer[], integer[], double precision[], double precision[], double precision[], double precision[]);
drop function tenantry.rate_clock();
drop table tenantry.rate_states;
drop function tenantry.limit_extend(uuid, interval);
drop function tenantry.limit_release(uuid);
drop function tenantry.limit_commit(uuid, numeric);
drop function tenantry.limit_take(text, text, numeric, uuid, uuid, uuid, interval, text);
drop function tenantry.count_end_user(uuid, uuid, text, numeric, timestamptz);
drop function tenantry.limit_state(text, text, uuid, text, timestamptz);
drop function tenantry.effective_limits(text, uuid, uuid, uuid);
drop function tenantry.named_limits(jsonb, text, text);
drop table tenantry.limit_gates, tenantry.limit_reservations, tenantry.limit_counters, tenantry.limits;
