-- How events are handed on. What comes before a tenant returns ids; the rest runs inside the tenant, with the lease of its queue.

set local role tenantry_owner;

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
  v_topics := coalesce((select c.topics from tenantry.outbox_consumers c where c.name = q.consumer),
    (select w.topics from tenantry.webhook_endpoints w where w.tenant_id = t and w.id = q.endpoint_id and w.status = 'enabled'));
  if v_topics is null then
    return; -- disabled, or gone
  end if;
  return query
    select o.id, o.seq, o.topic, o.payload, o.user_id, o.occurred_at, d.attempts, true
    from tenantry.outbox_deliveries d join tenantry.outbox o on o.tenant_id = d.tenant_id and o.id = d.event_id
    where d.tenant_id = t and d.queue_id = p_queue and d.state = 'replay' and d.retry_at <= clock_timestamp()
    order by d.retry_at, o.seq limit p_limit;
  if found or q.retry_at > clock_timestamp() then
    return;
  end if;
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

grant execute on function tenantry.outbox_register(text, text[]),
  tenantry.outbox_claim(text[], boolean, uuid[], int, int, int), tenantry.outbox_wait(text[], boolean),
  tenantry.outbox_next(uuid, uuid, int), tenantry.outbox_report(uuid, uuid, uuid, boolean, int, int, int, text, int, text),
  tenantry.outbox_extend(uuid, uuid, int), tenantry.outbox_release(uuid, uuid), tenantry.outbox_replay(uuid, uuid, timestamptz),
  tenantry.webhook_disable(uuid, text), tenantry.outbox_prune(int, int) to tenantry_app, tenantry_operator;
