-- Removes the audit log and the operators' log with everything in them. Triggers on watched tables go first: tenantry audit unwatch.

drop function tenantry.audit_change(), tenantry.audit_value(jsonb), tenantry.audit_secret_column(text);
drop table tenantry.operator_log, tenantry.audit_checkpoints, tenantry.audit_pending;
drop function tenantry.audit_bytes(tenantry.audit_log), tenantry.chain_audit(), tenantry.audit_field(bytea), tenantry.audit_head(),
  tenantry.audit_maintain(int), tenantry.audit_stray_months(), tenantry.audit_prepare_partition(text);
drop table tenantry.audit_log, tenantry.tenant_heads;
drop function tenantry.refuse_audit_change(), tenantry.refuse_log_change(), tenantry.route_audit_entry(), tenantry.audit_actor(), tenantry.caller_may(text);
