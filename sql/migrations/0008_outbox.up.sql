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
    from (select x.id, row_number() over (order by x.number) as nth from tenantry.outbox x where x.tenant_id = t and x.seq is null) n
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

-- ── dispatching: what comes before a tenant returns ids; the rest runs inside the tenant and with its lease ─────────

create function tenantry.outbox_register(p_name text, p_topics text[]) returns void language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  insert into tenantry.outbox_consumers as c (name, topics) values (p_name, p_topics)
    on conflict (name) do update set topics = excluded.topics where c.topics <> excluded.topics;
end $$;

-- Leases what is due: at most p_limit queues, at most p_per_tenant of one tenant, none of the tenants in p_busy.
create function tenantry.outbox_claim(p_consumers text[], p_webhooks boolean, p_busy uuid[], p_per_tenant int, p_limit int, p_lease_ms int)
returns table (tenant_id uuid, queue_id uuid, consumer text, lease uuid) language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return query
  with due as (
    select q.tenant_id, q.id, q.due_at from tenantry.outbox_queues q
    where q.due_at <= clock_timestamp() and q.tenant_id <> all (p_busy)
      and (q.consumer = any (p_consumers) or (p_webhooks and q.endpoint_id is not null))
    order by q.due_at limit greatest(p_limit * 8, 64)
  ), ranked as (
    select d.*, row_number() over (partition by d.tenant_id order by d.due_at) as nth from due d
  ), taken as (
    select q.tenant_id, q.id from tenantry.outbox_queues q join ranked r on r.tenant_id = q.tenant_id and r.id = q.id
    where r.nth <= p_per_tenant and q.due_at <= clock_timestamp()
    order by r.due_at limit p_limit for update of q skip locked
  )
  update tenantry.outbox_queues q set lease = gen_random_uuid(), due_at = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    from taken k where q.tenant_id = k.tenant_id and q.id = k.id
    returning q.tenant_id, q.id, q.consumer, q.lease;
end $$;

-- Milliseconds until the next queue is due; null when none is.
create function tenantry.outbox_wait(p_consumers text[], p_webhooks boolean) returns double precision language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return (select extract(epoch from q.due_at - clock_timestamp()) * 1000 from tenantry.outbox_queues q
    where q.due_at is not null and (q.consumer = any (p_consumers) or (p_webhooks and q.endpoint_id is not null))
    order by q.due_at limit 1);
end $$;

-- The next events of a leased queue: replays first, then what comes after its position.
create function tenantry.outbox_next(p_queue uuid, p_lease uuid, p_limit int)
returns table (id uuid, seq bigint, topic text, payload jsonb, user_id uuid, occurred_at timestamptz, attempts int, replay boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  q tenantry.outbox_queues;
  v_topics text[];
begin
  select * into q from tenantry.outbox_queues x where x.tenant_id = t and x.id = p_queue and x.lease = p_lease;
  if not found then
    return;
  end if;
  return query
    select o.id, o.seq, o.topic, o.payload, o.user_id, o.occurred_at, d.attempts, true
    from tenantry.outbox_deliveries d join tenantry.outbox o on o.tenant_id = d.tenant_id and o.id = d.event_id
    where d.tenant_id = t and d.queue_id = p_queue and d.state = 'replay' and d.retry_at <= clock_timestamp()
    order by d.retry_at, o.seq limit p_limit;
  if found or q.retry_at > clock_timestamp() then
    return;
  end if;
  v_topics := coalesce((select c.topics from tenantry.outbox_consumers c where c.name = q.consumer),
    (select w.topics from tenantry.webhook_endpoints w where w.tenant_id = t and w.id = q.endpoint_id and w.status = 'enabled'));
  return query
    select o.id, o.seq, o.topic, o.payload, o.user_id, o.occurred_at, case when row_number() over (order by o.seq) = 1 then q.attempts else 0 end, false
    from tenantry.outbox o
    where o.tenant_id = t and o.seq > q.position and tenantry.topic_matches(o.topic, v_topics)
    order by o.seq limit p_limit;
end $$;

-- What became of an attempt, written in one round trip. False: the lease is somebody else's by now, and nothing was written.
-- p_retry_ms null and not delivered: given up, a dead letter. The log is written for endpoints, and for consumers what failed.
create function tenantry.outbox_report(p_queue uuid, p_lease uuid, p_event uuid, p_delivered boolean, p_retry_ms int, p_lease_ms int,
  p_status int, p_error text, p_duration_ms int, p_response text) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  q tenantry.outbox_queues;
  d tenantry.outbox_deliveries;
  v_retry timestamptz := clock_timestamp() + make_interval(secs => p_retry_ms / 1000.0);
  v_seq bigint;
begin
  select * into q from tenantry.outbox_queues x where x.tenant_id = t and x.id = p_queue and x.lease = p_lease for no key update;
  if not found then
    return false;
  end if;
  select * into d from tenantry.outbox_deliveries x where x.tenant_id = t and x.queue_id = p_queue and x.event_id = p_event;
  if d.state is distinct from 'replay' then
    select o.seq into v_seq from tenantry.outbox o where o.tenant_id = t and o.id = p_event;
  end if;
  if not p_delivered or d.id is not null or q.endpoint_id is not null then
    insert into tenantry.outbox_deliveries as x (tenant_id, queue_id, event_id, state, attempts, retry_at)
      values (t, p_queue, p_event, case when p_delivered then 'delivered' when p_retry_ms is null then 'dead' else 'retrying' end, 1, v_retry)
      on conflict (tenant_id, queue_id, event_id) do update set
        state = case when excluded.state = 'retrying' and x.state = 'replay' then 'replay' else excluded.state end,
        attempts = x.attempts + 1, retry_at = excluded.retry_at, updated_at = clock_timestamp()
      returning x.* into d;
    insert into tenantry.outbox_attempts (tenant_id, delivery_id, outcome, status, error, duration_ms, response)
      values (t, d.id, case when p_delivered then 'delivered' else 'failed' end, p_status, left(p_error, 1000), p_duration_ms, left(p_response, 1024));
  end if;
  update tenantry.outbox_queues x set
      position = case when v_seq is not null and (p_delivered or p_retry_ms is null) then v_seq else x.position end,
      attempts = case when v_seq is null then x.attempts when p_delivered or p_retry_ms is null then 0 else x.attempts + 1 end,
      retry_at = case when v_seq is null then x.retry_at when p_delivered or p_retry_ms is null then null else v_retry end,
      due_at = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    where x.tenant_id = t and x.id = p_queue;
  if q.endpoint_id is not null then
    update tenantry.webhook_endpoints w set failing_since = case when p_delivered then null else coalesce(w.failing_since, clock_timestamp()) end
      where w.tenant_id = t and w.id = q.endpoint_id and (w.failing_since is null) <> p_delivered;
  end if;
  return true;
end $$;

-- A longer lease for who still works on it.
create function tenantry.outbox_extend(p_queue uuid, p_lease uuid, p_lease_ms int) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  update tenantry.outbox_queues x set due_at = clock_timestamp() + make_interval(secs => p_lease_ms / 1000.0)
    where x.tenant_id = tenantry.current_tenant() and x.id = p_queue and x.lease = p_lease;
  return found;
end $$;

-- Gives the lease back, due again when there is more. The lock comes first: whoever commits an event waits for it, or is seen.
create function tenantry.outbox_release(p_queue uuid, p_lease uuid) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  q tenantry.outbox_queues;
  v_topics text[];
  v_next bigint;
  v_end bigint;
begin
  select * into q from tenantry.outbox_queues x where x.tenant_id = t and x.id = p_queue and x.lease = p_lease for no key update;
  if not found then
    return false;
  end if;
  v_topics := coalesce((select c.topics from tenantry.outbox_consumers c where c.name = q.consumer),
    (select w.topics from tenantry.webhook_endpoints w where w.tenant_id = t and w.id = q.endpoint_id and w.status = 'enabled'));
  select (select o.seq from tenantry.outbox o where o.tenant_id = t and o.seq > q.position and tenantry.topic_matches(o.topic, v_topics)
      order by o.seq limit 1), max(o.seq) into v_next, v_end from tenantry.outbox o where o.tenant_id = t;
  update tenantry.outbox_queues x set lease = null,
      position = case when v_next is null and v_topics is not null then greatest(x.position, v_end) else x.position end,
      due_at = least(
        case when v_next is not null then coalesce(q.retry_at, clock_timestamp()) end,
        case when v_topics is not null then
          (select min(d.retry_at) from tenantry.outbox_deliveries d where d.tenant_id = t and d.queue_id = p_queue and d.state = 'replay') end)
    where x.tenant_id = t and x.id = p_queue;
  return true;
end $$;

-- Once more: one event out of its order, or with p_since everything from then on, in order. Who works on the queue loses its lease.
create function tenantry.outbox_replay(p_queue uuid, p_event uuid, p_since timestamptz) returns bigint language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
  v_count bigint := 0;
begin
  if not tenantry.caller_may('webhooks.write') then
    raise exception 'webhooks.write is needed' using errcode = '42501';
  end if;
  perform from tenantry.outbox_queues q where q.tenant_id = t and q.id = p_queue for no key update;
  if p_event is null then
    update tenantry.outbox_queues q set lease = null, attempts = 0, retry_at = null, due_at = clock_timestamp(),
        position = least(q.position, coalesce((select min(o.seq) - 1 from tenantry.outbox o where o.tenant_id = t and o.occurred_at >= p_since), q.position))
      where q.tenant_id = t and q.id = p_queue
      returning (select count(*) from tenantry.outbox o where o.tenant_id = t and o.seq > q.position
        and tenantry.topic_matches(o.topic, (select w.topics from tenantry.webhook_endpoints w where w.tenant_id = t and w.id = q.endpoint_id)))
      into v_count;
  else
    insert into tenantry.outbox_deliveries as d (tenant_id, queue_id, event_id, state, retry_at)
      select t, q.id, o.id, 'replay', clock_timestamp() from tenantry.outbox_queues q, tenantry.outbox o
      where q.tenant_id = t and q.id = p_queue and o.tenant_id = t and o.id = p_event
      on conflict (tenant_id, queue_id, event_id) do update set state = 'replay', attempts = 0, retry_at = clock_timestamp(), updated_at = clock_timestamp();
    get diagnostics v_count = row_count;
    update tenantry.outbox_queues q set due_at = clock_timestamp() where q.tenant_id = t and q.id = p_queue and q.lease is null and v_count > 0;
  end if;
  perform pg_notify('tenantry_outbox', '');
  return v_count;
end $$;

-- An endpoint that nobody answers at. The head is locked first, as every commit of an event does.
create function tenantry.webhook_disable(p_endpoint uuid, p_reason text) returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
begin
  perform from tenantry.tenant_heads h where h.tenant_id = t for no key update;
  update tenantry.webhook_endpoints w set status = 'disabled', disabled_reason = p_reason
    where w.tenant_id = t and w.id = p_endpoint and w.status = 'enabled';
  if found then
    perform tenantry.emit(t, 'webhook.disabled', jsonb_build_object('endpoint_id', p_endpoint, 'reason', p_reason));
    return true;
  end if;
  return false;
end $$;

-- Old events that every reader of their tenant has passed, with their log; dead letters and replays keep theirs.
create function tenantry.outbox_prune(p_days int, p_limit int) returns bigint language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  v_count bigint;
begin
  delete from tenantry.outbox o using (
    select x.tenant_id, x.id from tenantry.outbox x
    where x.occurred_at < clock_timestamp() - make_interval(days => greatest(p_days, 1)) and x.seq is not null
      and not exists (select from tenantry.outbox_queues q left join tenantry.webhook_endpoints w on w.tenant_id = q.tenant_id and w.id = q.endpoint_id
        where q.tenant_id = x.tenant_id and q.position < x.seq and w.status is distinct from 'disabled')
      and not exists (select from tenantry.outbox_deliveries d where d.tenant_id = x.tenant_id and d.event_id = x.id and d.state <> 'delivered')
    order by x.occurred_at limit p_limit for update skip locked) old
    where o.tenant_id = old.tenant_id and o.id = old.id;
  get diagnostics v_count = row_count;
  return v_count;
end $$;

-- ── policies and grants ─────────────────────────────────────────────────────────────────────────────────────────────

alter table tenantry.outbox_consumers enable row level security;
create policy tenantry_access_select on tenantry.outbox_consumers for select to public using (true);

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
grant select on tenantry.outbox_consumers, tenantry.webhook_endpoints, tenantry.outbox_queues, tenantry.outbox_deliveries,
  tenantry.outbox_attempts to tenantry_app;
grant insert (tenant_id, id, url, topics, description, secret_id), delete,
  update (url, topics, description, secret_id, old_secret_id, old_secret_until, status, disabled_reason, failing_since)
  on tenantry.webhook_endpoints to tenantry_app;
grant execute on function tenantry.emit(uuid, text, jsonb, text), tenantry.topic_matches(text, text[]), tenantry.outbox_register(text, text[]),
  tenantry.outbox_claim(text[], boolean, uuid[], int, int, int), tenantry.outbox_wait(text[], boolean),
  tenantry.outbox_next(uuid, uuid, int), tenantry.outbox_report(uuid, uuid, uuid, boolean, int, int, int, text, int, text),
  tenantry.outbox_extend(uuid, uuid, int), tenantry.outbox_release(uuid, uuid), tenantry.outbox_replay(uuid, uuid, timestamptz),
  tenantry.webhook_disable(uuid, text), tenantry.outbox_prune(int, int) to tenantry_app, tenantry_operator;
