-- Removes the audit log and the operators' log with everything in them.

drop table tenantry.operator_log, tenantry.audit_log;
drop function tenantry.refuse_audit_change(), tenantry.refuse_log_change();
