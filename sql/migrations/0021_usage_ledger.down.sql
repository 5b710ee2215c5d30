-- The ledger is neither corrected nor compared any more.

drop function tenantry.correct_usage(text, text, numeric, text), tenantry.usage_from_ledger(uuid, text, timestamptz, timestamptz),
  tenantry.usage_differences(uuid, text, timestamptz, timestamptz), tenantry.recount_usage(uuid, text, timestamptz, timestamptz),
  tenantry.usage_value(uuid, uuid, text, text, timestamptz), tenantry.usage_between(uuid, uuid, text, timestamptz, timestamptz),
  tenantry.close_usage(uuid, timestamptz), tenantry.settle_usage_corrections(uuid, uuid[], uuid), tenantry.prune_usage(uuid, timestamptz, integer);
