-- Outbox: what happened in a tenant, written in the transaction that did it and handed on afterwards, at least once and in
-- the order in which transactions committed. Webhooks stand on it. How events are handed on: 0018_dispatch.

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
create index outbox_occurred_at_idx on tenantry.outbox (occurred_at);

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

-- ── who is told ─────────────────────────────────────────────────────────────────────────────────────────────────────

-- `*`, a topic, or everything under a prefix: `invoice.*`.
create function tenantry.topic_matches(p_topic text, p_topics text[]) returns boolean language sql immutable parallel safe
return exists (select from unnest(p_topics) t where t = '*' or t = p_topic or (t like '%.*' and starts_with(p_topic, left(t, -1))));

create table tenantry.outbox_consumers (
  name text primary key,
  id uuid not null unique default tenantry.uuidv7(),
  topics text[] not null,
  created_at timestamptz not null default now(),
  constraint outbox_consumers_name_check check (name ~ '^[a-z][a-z0-9_-]{0,62}$')
);
comment on table tenantry.outbox_consumers is 'Handlers inside the application, by the name that its processes share. Global.';

create table tenantry.webhook_endpoints (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  url text not null,
  topics text[] not null default '{*}',
  description text,
  -- In the vault. The old one signs beside the new one until its time is over.
  secret_id uuid not null,
  old_secret_id uuid,
  old_secret_until timestamptz,
  status text not null default 'enabled',
  disabled_reason text,
  failing_since timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint webhook_endpoints_url_check check (url ~ '^https?://' and length(url) <= 2048),
  constraint webhook_endpoints_topics_check check (cardinality(topics) between 1 and 100),
  constraint webhook_endpoints_description_check check (length(description) <= 1000),
  constraint webhook_endpoints_status_check check (status in ('enabled', 'disabled')),
  constraint webhook_endpoints_old_secret_check check ((old_secret_id is null) = (old_secret_until is null))
);
create trigger touch before update on tenantry.webhook_endpoints for each row execute function tenantry.touch_updated_at();

-- One reader of one tenant's events: an endpoint or a consumer. It stands at a position, as a reader of a book.
create table tenantry.outbox_queues (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null,
  consumer text references tenantry.outbox_consumers (name) on delete cascade,
  endpoint_id uuid,
  position bigint not null,
  attempts int not null default 0,
  retry_at timestamptz,
  -- When somebody should look: null is never, and during a lease its end.
  due_at timestamptz,
  lease uuid,
  primary key (tenant_id, id),
  constraint outbox_queues_check check (num_nonnulls(consumer, endpoint_id) = 1),
  constraint outbox_queues_endpoint_id_fkey foreign key (tenant_id, endpoint_id)
    references tenantry.webhook_endpoints (tenant_id, id) on delete cascade
) with (fillfactor = 50);
comment on table tenantry.outbox_queues is 'How far each endpoint and consumer of a tenant is. attempts and retry_at are those of the event after the position.';
create index outbox_queues_due_at_idx on tenantry.outbox_queues (due_at) where due_at is not null;
create index outbox_queues_consumer_idx on tenantry.outbox_queues (consumer);
create index outbox_queues_endpoint_id_idx on tenantry.outbox_queues (tenant_id, endpoint_id);

create table tenantry.outbox_deliveries (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  queue_id uuid not null,
  event_id uuid not null,
  state text not null,
  attempts int not null default 0,
  retry_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  updated_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint outbox_deliveries_event_key unique (tenant_id, queue_id, event_id),
  constraint outbox_deliveries_state_check check (state in ('retrying', 'delivered', 'dead', 'replay')),
  constraint outbox_deliveries_queue_id_fkey foreign key (tenant_id, queue_id) references tenantry.outbox_queues (tenant_id, id) on delete cascade,
  constraint outbox_deliveries_event_id_fkey foreign key (tenant_id, event_id) references tenantry.outbox (tenant_id, id) on delete cascade
);
comment on table tenantry.outbox_deliveries is 'What became of an event in a queue. dead: given up; replay: asked for once more, out of its order.';
create index outbox_deliveries_created_at_idx on tenantry.outbox_deliveries (tenant_id, created_at, id);
create index outbox_deliveries_event_id_idx on tenantry.outbox_deliveries (tenant_id, event_id);
create index outbox_deliveries_state_idx on tenantry.outbox_deliveries (tenant_id, queue_id, state, retry_at) where state in ('dead', 'replay');

create table tenantry.outbox_attempts (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  delivery_id uuid not null,
  at timestamptz not null default clock_timestamp(),
  outcome text not null,
  status int,
  error text,
  duration_ms int not null,
  response text,
  primary key (tenant_id, id),
  constraint outbox_attempts_outcome_check check (outcome in ('delivered', 'failed')),
  constraint outbox_attempts_delivery_id_fkey foreign key (tenant_id, delivery_id) references tenantry.outbox_deliveries (tenant_id, id) on delete cascade
);
comment on table tenantry.outbox_attempts is 'The delivery log: one row per attempt, with the beginning of the answer.';
create index outbox_attempts_delivery_id_idx on tenantry.outbox_attempts (tenant_id, delivery_id, at);

-- ── ordering and waking ─────────────────────────────────────────────────────────────────────────────────────────────

-- Runs at commit. The head row makes the committers of one tenant take turns, and only for as long as a commit takes.
create function tenantry.order_events() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := new.tenant_id;
  v_last bigint;
  v_end bigint;
  v_woken bigint;
begin
  if not exists (select from tenantry.outbox o where o.tenant_id = t and o.id = new.id and o.seq is null) then
    return null; -- ordered with the first of its transaction, or gone
  end if;
  select h.event_seq into v_last from tenantry.tenant_heads h where h.tenant_id = t for no key update;
  if not found then
    insert into tenantry.tenant_heads (tenant_id) values (t) on conflict (tenant_id) do nothing;
    select h.event_seq into v_last from tenantry.tenant_heads h where h.tenant_id = t for no key update;
  end if;
  update tenantry.outbox o set seq = v_last + n.nth
    from (select x.id, row_number() over (order by x.number) as nth from tenantry.outbox x
          where x.tenant_id = t and x.number >= new.number and x.seq is null) n
    where o.tenant_id = t and o.id = n.id;
  get diagnostics v_end = row_count;
  v_end := v_last + v_end;
  update tenantry.tenant_heads h set event_seq = v_end where h.tenant_id = t;
  insert into tenantry.outbox_queues as q (tenant_id, id, consumer, endpoint_id, position, due_at)
    select t, r.id, r.consumer, r.endpoint_id, v_last, clock_timestamp()
    from (select c.id, c.name as consumer, null::uuid as endpoint_id, c.topics from tenantry.outbox_consumers c
          union all
          select w.id, null, w.id, w.topics from tenantry.webhook_endpoints w where w.tenant_id = t and w.status = 'enabled') r
    where exists (select from tenantry.outbox o where o.tenant_id = t and o.seq > v_last and o.seq <= v_end
      and tenantry.topic_matches(o.topic, r.topics))
    order by r.id
    on conflict (tenant_id, id) do update set due_at = excluded.due_at where q.due_at is null;
  get diagnostics v_woken = row_count;
  if v_woken > 0 then
    perform pg_notify('tenantry_outbox', '');
  end if;
  return null;
end $$;
create constraint trigger order_events after insert on tenantry.outbox deferrable initially deferred
  for each row execute function tenantry.order_events();

-- A new endpoint hears of what comes after it; one that was disabled goes on where it stood.
create function tenantry.place_endpoint() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  -- each event is sent to all of them: without an end one organization could have others flooded
  if tg_op = 'INSERT' and (select count(*) from tenantry.webhook_endpoints w where w.tenant_id = new.tenant_id) > 100 then
    raise exception 'an organization has 100 webhook endpoints at most' using errcode = '23514', constraint = 'webhook_endpoints_at_most_100';
  end if;
  insert into tenantry.outbox_queues as q (tenant_id, id, endpoint_id, position, due_at)
    select new.tenant_id, new.id, new.id, coalesce((select h.event_seq from tenantry.tenant_heads h where h.tenant_id = new.tenant_id), 0), null
    on conflict (tenant_id, id) do update set due_at = case when new.status = 'enabled' then clock_timestamp() end, lease = null;
  perform pg_notify('tenantry_outbox', '');
  return null;
end $$;
create trigger place_endpoint_insert after insert on tenantry.webhook_endpoints
  for each row execute function tenantry.place_endpoint();
create trigger place_endpoint_update after update of status, topics on tenantry.webhook_endpoints
  for each row when (new.status <> old.status or new.topics <> old.topics) execute function tenantry.place_endpoint();

-- ── policies and grants ─────────────────────────────────────────────────────────────────────────────────────────────


alter table tenantry.webhook_endpoints enable row level security;
create policy tenantry_floor on tenantry.webhook_endpoints as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.webhook_endpoints for select to public using ((select tenantry.caller_can('webhooks.read')));
create policy tenantry_access_write on tenantry.webhook_endpoints for all to public
  using ((select tenantry.caller_can('webhooks.write'))) with check ((select tenantry.caller_can('webhooks.write')));
-- The dispatcher works for the tenant, as nobody: what it may read of an endpoint is where to send and what to sign with.
create policy tenantry_access_job on tenantry.webhook_endpoints for select to public
  using ((select tenantry.caller_principals()) = array[tenantry.context_tenant()]);

alter table tenantry.outbox_queues enable row level security;
create policy tenantry_floor on tenantry.outbox_queues as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.outbox_queues for select to public using ((select tenantry.caller_can('webhooks.read')));

alter table tenantry.outbox_deliveries enable row level security;
create policy tenantry_floor on tenantry.outbox_deliveries as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.outbox_deliveries for select to public using ((select tenantry.caller_can('webhooks.read')));

alter table tenantry.outbox_attempts enable row level security;
create policy tenantry_floor on tenantry.outbox_attempts as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.outbox_attempts for select to public using ((select tenantry.caller_can('webhooks.read')));

grant insert (tenant_id, id, topic, payload, key), select (tenant_id, id, seq, topic, key, user_id, occurred_at) on tenantry.outbox to tenantry_app;
grant select on tenantry.webhook_endpoints, tenantry.outbox_queues, tenantry.outbox_deliveries,
  tenantry.outbox_attempts to tenantry_app;
grant insert (tenant_id, id, url, topics, description, secret_id), delete,
  update (url, topics, description, secret_id, old_secret_id, old_secret_until, status, disabled_reason, failing_since)
  on tenantry.webhook_endpoints to tenantry_app;
grant execute on function tenantry.emit(uuid, text, jsonb, text), tenantry.topic_matches(text, text[]) to tenantry_app, tenantry_operator;
