-- Removes the outbox with every event that has not been handed on.

set local role tenantry_owner;
drop table tenantry.outbox;
drop function tenantry.order_events(), tenantry.emit(uuid, text, jsonb, text);
alter table tenantry.tenant_heads drop column event_seq;
