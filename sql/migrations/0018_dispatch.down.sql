-- Stops the handing on of events; they stay.

set local role tenantry_owner;
drop function tenantry.outbox_prune(int, int), tenantry.webhook_disable(uuid, text), tenantry.outbox_replay(uuid, uuid, timestamptz),
  tenantry.outbox_release(uuid, uuid), tenantry.outbox_extend(uuid, uuid, int),
  tenantry.outbox_report(uuid, uuid, uuid, boolean, int, int, int, text, int, text), tenantry.outbox_next(uuid, uuid, int),
  tenantry.outbox_wait(text[], boolean), tenantry.outbox_claim(text[], boolean, uuid[], int, int, int), tenantry.outbox_register(text, text[]);
