-- Nothing is counted any more.

drop function tenantry.count_usage(uuid[], uuid[], uuid[], text[], bigint[], integer[], text, integer[], numeric[], text[], boolean),
  tenantry.count_usage_closely(uuid[], uuid[], uuid[], text[], bigint[], integer[], text[], integer[], numeric[], text[], timestamptz),
  tenantry.count_usage_past(uuid[], uuid[], text[], text[], timestamptz[], timestamptz[], timestamptz[], boolean[], integer[], numeric[]),
  tenantry.count_usage_rest(uuid[], uuid[], uuid[], text[], text[], timestamptz[], timestamptz[], timestamptz[], timestamptz[], timestamptz[],
    integer[], integer[], numeric[], text[]),
  tenantry.count_usage_gauge(uuid, text, text, uuid, boolean, text, timestamptz, timestamptz, numeric[], text[], timestamptz[]),
  tenantry.open_usage(uuid[]), tenantry.open_usage_accounts(uuid[]), tenantry.assert_usage_context(uuid[], uuid[]),
  tenantry.fold_usage_day(uuid), tenantry.hold_usage_accounts(uuid[]);
