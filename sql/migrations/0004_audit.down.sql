-- Removes the audit log and the operators' log with everything in them.

drop table tenantry.operator_log, tenantry.audit_log, tenantry.tenant_heads;
drop function tenantry.refuse_audit_change(), tenantry.refuse_log_change();
