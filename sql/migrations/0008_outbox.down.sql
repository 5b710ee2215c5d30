-- Removes the outbox with every event that has not been handed on, and the webhooks' endpoints and log.

set local role tenantry_owner;
drop function tenantry.outbox_prune(int, int), tenantry.webhook_disable(uuid, text), tenantry.outbox_replay(uuid, uuid, timestamptz),
  tenantry.outbox_release(uuid, uuid), tenantry.outbox_extend(uuid, uuid, int),
  tenantry.outbox_report(uuid, uuid, uuid, boolean, int, int, int, text, int, text), tenantry.outbox_next(uuid, uuid, int),
  tenantry.outbox_wait(text[], boolean), tenantry.outbox_claim(text[], boolean, uuid[], int, int, int), tenantry.outbox_register(text, text[]),
  tenantry.emit(uuid, text, jsonb, text);
drop table tenantry.outbox_attempts, tenantry.outbox_deliveries, tenantry.outbox_queues, tenantry.webhook_endpoints, tenantry.outbox_consumers,
  tenantry.outbox;
drop function tenantry.order_events(), tenantry.place_endpoint(), tenantry.topic_matches(text, text[]);
alter table tenantry.tenant_heads drop column event_seq;
