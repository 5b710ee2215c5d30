-- Outbox: what happened in a tenant, written in the transaction that did it and handed on afterwards, at least once and in
-- the order in which transactions committed. Webhooks stand on it.

set local role tenantry_owner;

-- On the row that orders a tenant's audit entries too: one lock for both, so that no two transactions can cross.
alter table tenantry.tenant_heads add column event_seq bigint not null default 0;

-- ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.outbox (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  -- The order of insertion, for the events of one transaction.
  number bigint not null generated always as identity,
  -- The tenant's own order, without gaps: given at commit, so that it is the order of commits. Null until then.
  seq bigint,
  topic text not null,
  payload jsonb not null default '{}',
  key text,
  user_id uuid default tenantry.current_user_id(),
  occurred_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint outbox_key_key unique (tenant_id, key),
  constraint outbox_seq_key unique (tenant_id, seq),
  constraint outbox_topic_check check (topic ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$' and length(topic) <= 255),
  constraint outbox_key_check check (length(key) between 1 and 255),
  constraint outbox_payload_check check (jsonb_typeof(payload) = 'object')
);
comment on table tenantry.outbox is 'Events. Kept for replay until they are pruned.';
comment on column tenantry.outbox.key is 'Two events of a tenant with one key are one event.';
create index outbox_unordered_idx on tenantry.outbox (tenant_id, number) where seq is null;
create index outbox_occurred_at_idx on tenantry.outbox (tenant_id, occurred_at);

alter table tenantry.outbox enable row level security;
create policy tenantry_floor on tenantry.outbox as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.outbox for select to public using (true);
create policy tenantry_access_insert on tenantry.outbox for insert to public with check (true);

-- Not SECURITY DEFINER: the floor holds a caller to its own tenant, and functions of the owner to nothing.
create function tenantry.emit(p_tenant uuid, p_topic text, p_payload jsonb, p_key text default null) returns uuid
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid := tenantry.uuidv7();
begin
  if p_key is null then
    insert into tenantry.outbox (tenant_id, id, topic, payload) values (p_tenant, v_id, p_topic, coalesce(p_payload, '{}'));
    return v_id;
  end if;
  insert into tenantry.outbox (tenant_id, id, topic, payload, key)
    values (p_tenant, v_id, p_topic, coalesce(p_payload, '{}'), p_key)
    on conflict (tenant_id, key) do nothing;
  if not found then
    select o.id into v_id from tenantry.outbox o where o.tenant_id = p_tenant and o.key = p_key;
  end if;
  return v_id;
end $$;
comment on function tenantry.emit(uuid, text, jsonb, text) is
  'Writes one event in the transaction of the caller and returns its id; the id of the event that has the key already, if there is one.';

-- Runs at commit. The head row makes the committers of one tenant take turns, and only for as long as a commit takes.
create function tenantry.order_events() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  v_last bigint;
  v_count bigint;
begin
  if not exists (select from tenantry.outbox o where o.tenant_id = new.tenant_id and o.id = new.id and o.seq is null) then
    return null; -- ordered with the first of its transaction, or gone
  end if;
  insert into tenantry.tenant_heads (tenant_id) values (new.tenant_id) on conflict (tenant_id) do nothing;
  select h.event_seq into v_last from tenantry.tenant_heads h where h.tenant_id = new.tenant_id for no key update;
  update tenantry.outbox o set seq = v_last + n.nth
    from (select x.id, row_number() over (order by x.number) as nth from tenantry.outbox x
          where x.tenant_id = new.tenant_id and x.seq is null) n
    where o.tenant_id = new.tenant_id and o.id = n.id;
  get diagnostics v_count = row_count;
  update tenantry.tenant_heads h set event_seq = v_last + v_count where h.tenant_id = new.tenant_id;
  return null;
end $$;
create constraint trigger order_events after insert on tenantry.outbox deferrable initially deferred
  for each row execute function tenantry.order_events();

grant insert (tenant_id, id, topic, payload, key), select (tenant_id, id, seq, topic, key, user_id, occurred_at)
  on tenantry.outbox to tenantry_app;
grant execute on function tenantry.emit(uuid, text, jsonb, text) to tenantry_app, tenantry_operator;
