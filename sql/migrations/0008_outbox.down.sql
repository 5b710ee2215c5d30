-- Removes the outbox with every event that has not been handed on, and the webhooks' endpoints and log.

set local role tenantry_owner;
drop table tenantry.outbox_attempts, tenantry.outbox_deliveries, tenantry.outbox_queues, tenantry.webhook_endpoints, tenantry.outbox_consumers,
  tenantry.outbox;
drop function tenantry.order_events(), tenantry.place_endpoint(), tenantry.topic_matches(text, text[]), tenantry.emit(uuid, text, jsonb, text);
alter table tenantry.tenant_heads drop column event_seq;
