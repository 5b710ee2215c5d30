-- Append-only: what happened, in which tenant, workspace and resource, by whom. Partitioned by month; per tenant numbered without
-- gaps and chained by hashes, so that what was edited, removed or put in between shows.

-- For functions that check for themselves: the member's permission, or the hand of an operator, whom no policy holds.
create function tenantry.caller_may(p_permission text) returns boolean language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return tenantry.caller_can(p_permission) or pg_has_role(session_user, 'tenantry_owner', 'member');
end $$;
grant execute on function tenantry.caller_may(text) to tenantry_app, tenantry_operator;

-- ── the ends of a tenant's ordered lists ────────────────────────────────────────────────────────────────────────────

-- Locked at commit, and only for as long as a commit takes: whoever adds to a tenant's order takes turns here.
create table tenantry.tenant_heads (
  tenant_id uuid primary key references tenantry.organizations (id) on delete cascade,
  audit_seq bigint not null default 0,
  audit_hash bytea not null default decode(repeat('00', 32), 'hex'),
  audit_at timestamptz not null default '-infinity'
) with (fillfactor = 50);
comment on table tenantry.tenant_heads is 'The ends of a tenant''s ordered lists. Written by triggers alone.';
alter table tenantry.tenant_heads enable row level security;

-- Who acts: the user, the organization's own customer, the key, or else a job of the organization itself.
create function tenantry.audit_actor() returns uuid language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return coalesce(tenantry.current_user_id(), nullif(current_setting('app.end_user_id', true), '')::uuid,
    nullif(current_setting('app.api_key_id', true), '')::uuid, tenantry.context_tenant());
end $$;
grant execute on function tenantry.audit_actor() to public;

-- ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.audit_log (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  -- When it was committed: rises with seq, so that a month is one piece of each tenant's chain.
  at timestamptz not null default clock_timestamp(),
  id uuid not null default tenantry.uuidv7(),
  seq bigint not null,
  action text not null,
  actor_principal_id uuid default tenantry.audit_actor(),
  workspace_id uuid,
  resource_id uuid,
  details jsonb not null default '{}',
  request_id text,
  trace_id text,
  prev_hash bytea not null,
  hash bytea not null,
  primary key (tenant_id, at, id),
  constraint audit_log_action_check check (length(action) between 1 and 255)
) partition by range (at);
comment on table tenantry.audit_log is 'Append-only. No foreign key to what it names: an entry outlives its subject. Written through tenantry.audit_pending alone.';
comment on column tenantry.audit_log.prev_hash is 'The hash of the entry before: 32 zero bytes before the first.';
comment on column tenantry.audit_log.hash is 'SHA-256 of tenantry.audit_bytes(): every other column as stored.';
create index audit_log_resource_idx on tenantry.audit_log (tenant_id, resource_id, at);
create index audit_log_actor_idx on tenantry.audit_log (tenant_id, actor_principal_id, at);

alter table tenantry.audit_log enable row level security;
create policy tenantry_floor on tenantry.audit_log as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.audit_log for select to public using (
  (select tenantry.caller_can('audit.read')));

-- The tenant's rows outlast a mistake of the owner too; only the end of the organization takes them, or the end of their month.
create function tenantry.refuse_audit_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'DELETE' or exists (select 1 from tenantry.organizations o where o.id = old.tenant_id) then
    raise exception 'the audit log is append-only' using errcode = '42501';
  end if;
  return old;
end $$;
create trigger append_only before update or delete on tenantry.audit_log
  for each row execute function tenantry.refuse_audit_change();
create function tenantry.refuse_log_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end $$;
create trigger no_truncate before truncate on tenantry.audit_log
  for each statement execute function tenantry.refuse_log_change();

-- ── partitions ──────────────────────────────────────────────────────────────────────────────────────────────────────

-- What every partition has of its own: PostgreSQL allows no unique index over all of them without the column they are cut by.
create function tenantry.audit_prepare_partition(p_suffix text) returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
begin
  execute format('create unique index audit_log_%1$s_seq_key on tenantry.audit_log_%1$s (tenant_id, seq)', p_suffix);
  execute format('create unique index audit_log_%1$s_prev_hash_key on tenantry.audit_log_%1$s (tenant_id, prev_hash)', p_suffix);
  execute format('alter table tenantry.audit_log_%s enable row level security', p_suffix);
  execute format('create trigger no_truncate before truncate on tenantry.audit_log_%s for each statement execute function tenantry.refuse_log_change()', p_suffix);
end $$;

-- Makes the partitions of this month and the p_ahead months after it, and gives the rows that fell into the default partition
-- months of their own. Whoever reads organizations or the log waits for it only when there are such rows.
create function tenantry.audit_maintain(p_ahead int default 12) returns int language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp set lock_timeout = '500ms' as $$
declare
  v_first timestamp := date_trunc('month', now() at time zone 'UTC');
  v_last timestamp := v_first + make_interval(months => least(greatest(p_ahead, 1), 120));
  v_month timestamp;
  v_suffix text;
  v_made int := 0;
  v_strays boolean := exists (select from tenantry.audit_log_default);
begin
  if to_regclass('tenantry.audit_log_' || to_char(v_last, 'YYYY_MM')) is not null
    and to_regclass('tenantry.audit_log_' || to_char(v_first, 'YYYY_MM')) is not null
    and not v_strays then
    return 0;
  end if;
  -- Two at once take turns. In the order of those who write, and with little patience: no writer is to be the one who yields. The
  -- strays' own table goes in the end, with its reference to organizations: who asks for that last finds writers who wait for the log.
  if v_strays then
    lock table tenantry.organizations in access exclusive mode;
  else
    lock table tenantry.organizations in share row exclusive mode;
  end if;
  lock table tenantry.audit_log in share update exclusive mode;
  if v_strays and exists (select from tenantry.audit_log_default) then
    alter table tenantry.audit_log detach partition tenantry.audit_log_default;
    alter table tenantry.audit_log_default rename to audit_log_strays;
    alter index tenantry.audit_log_default_seq_key rename to audit_log_strays_seq_key;
    alter index tenantry.audit_log_default_prev_hash_key rename to audit_log_strays_prev_hash_key;
    create table tenantry.audit_log_default partition of tenantry.audit_log default;
    perform tenantry.audit_prepare_partition('default');
  end if;
  for v_month in
    select m from generate_series(v_first, v_last, interval '1 month') m
    union
    select m at time zone 'UTC' from tenantry.audit_stray_months() m
    order by 1
  loop
    v_suffix := to_char(v_month, 'YYYY_MM');
    if to_regclass('tenantry.audit_log_' || v_suffix) is not null then
      continue;
    end if;
    execute format('create table tenantry.audit_log_%s (like tenantry.audit_log including defaults including constraints)', v_suffix);
    perform tenantry.audit_prepare_partition(v_suffix);
    execute format('alter table tenantry.audit_log attach partition tenantry.audit_log_%s for values from (%L) to (%L)', v_suffix,
      v_month at time zone 'UTC', (v_month + interval '1 month') at time zone 'UTC');
    v_made := v_made + 1;
  end loop;
  if to_regclass('tenantry.audit_log_strays') is not null then
    execute 'insert into tenantry.audit_log select * from tenantry.audit_log_strays';
    execute 'drop table tenantry.audit_log_strays';
  end if;
  return v_made;
end $$;
comment on function tenantry.audit_maintain(int) is 'Makes the audit log''s partitions of the months to come. Safe to repeat and to run at once; returns how many it made.';

create function tenantry.audit_stray_months() returns setof timestamptz language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  if to_regclass('tenantry.audit_log_strays') is not null then
    return query execute 'select distinct date_trunc(''month'', s.at, ''UTC'') from tenantry.audit_log_strays s';
  end if;
end $$;

create table tenantry.audit_log_default partition of tenantry.audit_log default;
select tenantry.audit_prepare_partition('default');
select tenantry.audit_maintain();

-- ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

-- Where an entry waits for the end of its transaction; nothing is ever committed here, so it needs no log of its own (UNLOGGED).
create unlogged table tenantry.audit_pending (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  number bigint not null generated always as identity,
  action text not null,
  actor_principal_id uuid default tenantry.audit_actor(),
  workspace_id uuid,
  resource_id uuid,
  details jsonb not null default '{}',
  request_id text,
  trace_id text,
  primary key (tenant_id, number),
  constraint audit_pending_action_check check (length(action) between 1 and 255)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
comment on table tenantry.audit_pending is 'Insert audit entries here: at commit they move to tenantry.audit_log, numbered and chained.';
alter table tenantry.audit_pending enable row level security;
create policy tenantry_floor on tenantry.audit_pending as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
-- Nobody writes in another's name.
create policy tenantry_access_insert on tenantry.audit_pending for insert to public with check (
  actor_principal_id is not distinct from (select tenantry.audit_actor()));

-- Functions of the owner may insert into the log itself: what has no number yet waits for its turn like everything else.
create function tenantry.route_audit_entry() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  if new.seq is not null then
    return new;
  end if;
  insert into tenantry.audit_pending (tenant_id, action, actor_principal_id, workspace_id, resource_id, details, request_id, trace_id)
    values (new.tenant_id, new.action, new.actor_principal_id, new.workspace_id, new.resource_id, new.details, new.request_id, new.trace_id);
  return null;
end $$;
create trigger route before insert on tenantry.audit_log for each row execute function tenantry.route_audit_entry();

-- Length-prefixed, so that no two entries have the same bytes: a 4-byte length (-1: null) before each value.
create function tenantry.audit_field(p_value bytea) returns bytea language sql immutable parallel safe
return case when p_value is null then '\xffffffff'::bytea else int4send(octet_length(p_value)) || p_value end;

create function tenantry.audit_bytes(e tenantry.audit_log) returns bytea language plpgsql stable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return tenantry.audit_field('tenantry-audit-1')
    || tenantry.audit_field(e.prev_hash)
    || tenantry.audit_field(uuid_send(e.tenant_id))
    || tenantry.audit_field(int8send(e.seq))
    || tenantry.audit_field(int8send((extract(epoch from e.at) * 1000000)::bigint))
    || tenantry.audit_field(uuid_send(e.id))
    || tenantry.audit_field(convert_to(e.action, 'UTF8'))
    || tenantry.audit_field(uuid_send(e.actor_principal_id))
    || tenantry.audit_field(uuid_send(e.workspace_id))
    || tenantry.audit_field(uuid_send(e.resource_id))
    || tenantry.audit_field(convert_to(e.details::text, 'UTF8'))
    || tenantry.audit_field(convert_to(e.request_id, 'UTF8'))
    || tenantry.audit_field(convert_to(e.trace_id, 'UTF8'));
end $$;
comment on function tenantry.audit_bytes(tenantry.audit_log) is
  'The bytes whose SHA-256 is an entry''s hash: built from the values as stored, the instant in whole microseconds.';

-- Runs at commit, once for all entries that a transaction has for a tenant: the head is locked last and let go at once. The first
-- entry has the lowest number; below it lie only the dead entries of transactions before.
create function tenantry.chain_audit() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  h tenantry.tenant_heads;
  e tenantry.audit_log;
  p tenantry.audit_pending;
begin
  if not exists (select from tenantry.audit_pending x where x.tenant_id = new.tenant_id and x.number = new.number) then
    return null; -- chained with the first of its transaction, or gone with its organization
  end if;
  select * into h from tenantry.tenant_heads x where x.tenant_id = new.tenant_id for no key update;
  if not found then
    insert into tenantry.tenant_heads (tenant_id) values (new.tenant_id) on conflict (tenant_id) do nothing;
    select * into h from tenantry.tenant_heads x where x.tenant_id = new.tenant_id for no key update;
  end if;
  e.tenant_id := new.tenant_id;
  e.seq := h.audit_seq;
  e.at := h.audit_at;
  e.hash := h.audit_hash;
  for p in select * from tenantry.audit_pending x where x.tenant_id = new.tenant_id and x.number >= new.number order by x.number loop
    e.prev_hash := e.hash;
    e.seq := e.seq + 1;
    e.at := greatest(clock_timestamp(), e.at + interval '1 microsecond');
    e.id := tenantry.uuidv7();
    e.action := p.action;
    e.actor_principal_id := p.actor_principal_id;
    e.workspace_id := p.workspace_id;
    e.resource_id := p.resource_id;
    e.details := p.details;
    e.request_id := p.request_id;
    e.trace_id := p.trace_id;
    e.hash := sha256(tenantry.audit_bytes(e));
    insert into tenantry.audit_log values (e.*);
  end loop;
  delete from tenantry.audit_pending x where x.tenant_id = new.tenant_id and x.number between new.number and p.number;
  update tenantry.tenant_heads x set audit_seq = e.seq, audit_hash = e.hash, audit_at = e.at where x.tenant_id = new.tenant_id;
  return null;
end $$;
create constraint trigger chain_audit after insert on tenantry.audit_pending deferrable initially deferred
  for each row execute function tenantry.chain_audit();

-- ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.audit_checkpoints (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  kind text not null default 'point',
  seq bigint not null,
  hash bytea not null,
  at timestamptz not null,
  key_id text not null,
  signature bytea not null,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint audit_checkpoints_kind_check check (kind in ('point', 'retention')),
  constraint audit_checkpoints_signature_check check (length(hash) = 32 and length(signature) = 64 and length(key_id) between 1 and 64)
);
comment on table tenantry.audit_checkpoints is
  'Signed ends of a chain (Ed25519). The signing key is never in the database; keep a copy of each outside, too.';
create index audit_checkpoints_seq_idx on tenantry.audit_checkpoints (tenant_id, seq);
alter table tenantry.audit_checkpoints enable row level security;
create policy tenantry_floor on tenantry.audit_checkpoints as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.audit_checkpoints for select to public using (
  (select tenantry.caller_can('audit.read')));
create policy tenantry_access_insert on tenantry.audit_checkpoints for insert to public with check (
  (select tenantry.caller_can('audit.read')));
create trigger append_only before update or delete on tenantry.audit_checkpoints
  for each row execute function tenantry.refuse_audit_change();

-- The end of the chain as its writers know it, for those who may read the log.
create function tenantry.audit_head(out seq bigint, out hash bytea, out at timestamptz, out pending bigint, out beyond bigint)
language plpgsql stable security definer set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.current_tenant();
begin
  if not tenantry.caller_may('audit.read') then
    raise exception 'audit.read is needed' using errcode = '42501';
  end if;
  select coalesce(h.audit_seq, 0), h.audit_hash, h.audit_at, (select count(*) from tenantry.audit_pending p where p.tenant_id = t),
      (select count(*) from tenantry.audit_log l where l.tenant_id = t and l.seq > coalesce(h.audit_seq, 0))
    into seq, hash, at, pending, beyond
    from (select t as id) one left join tenantry.tenant_heads h on h.tenant_id = one.id;
end $$;

-- ── operators ───────────────────────────────────────────────────────────────────────────────────────────────────────

-- What operators did across tenants: of no tenant, seen by operators alone.
create table tenantry.operator_log (
  at timestamptz not null default clock_timestamp(),
  id uuid not null default tenantry.uuidv7(),
  operator text not null default session_user,
  reason text not null,
  details jsonb not null default '{}',
  trace_id text,
  primary key (at, id),
  constraint operator_log_reason_check check (length(reason) between 1 and 1000)
);
comment on table tenantry.operator_log is 'Append-only: every withoutTenant, with its reason.';
alter table tenantry.operator_log enable row level security;
-- Operators run as the owner: what they did stays.
create trigger append_only before update or delete or truncate on tenantry.operator_log
  for each statement execute function tenantry.refuse_log_change();

-- ── row changes of chosen tables ────────────────────────────────────────────────────────────────────────────────────

-- Which columns never get into the log, by name: whoever adds one later need not think of it.
create function tenantry.audit_secret_column(p_name text) returns boolean language sql immutable parallel safe
return regexp_replace(p_name, '([a-z0-9])([A-Z])', '\1_\2', 'g')
  ~* '(^|[^a-z])(passwords?|passwd|passphrase|secrets?|tokens?|api_?keys?|private_?keys?|credentials?|pepper|salt|hash(es)?|cipher_?text|cvv|cvc|card_?number|iban|ssn|otp|pin)($|[^a-z])';

-- A value as the log keeps it: long ones by length and digest.
create function tenantry.audit_value(p_value jsonb) returns jsonb language sql immutable parallel safe
return case when length(p_value::text) <= 4000 then p_value
  else jsonb_build_object('length', length(p_value::text), 'sha256', encode(sha256(convert_to(p_value::text, 'UTF8')), 'hex')) end;

-- One argument, as JSON: tenant (the column), key (whether it holds organizations.key), id (the primary key), without and with (columns).
create function tenantry.audit_change() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  v_rule jsonb := tg_argv[0]::jsonb;
  v_old jsonb := case when tg_op in ('UPDATE', 'DELETE') then to_jsonb(old) end;
  v_new jsonb := case when tg_op in ('INSERT', 'UPDATE') then to_jsonb(new) end;
  v_details jsonb := jsonb_build_object('table', format('%I.%I', tg_table_schema, tg_table_name), 'login', session_user);
  v_row jsonb := coalesce(v_new, v_old);
  v_changes jsonb;
  v_hidden jsonb;
  v_key text;
  v_tenant uuid;
begin
  if tg_op = 'TRUNCATE' then
    insert into tenantry.operator_log (reason, details) values ('a watched table was emptied', v_details);
    return null;
  end if;
  select jsonb_object_agg(c.name, case tg_op when 'UPDATE'
        then jsonb_build_array(tenantry.audit_value(v_old -> c.name), tenantry.audit_value(v_new -> c.name)) else tenantry.audit_value(v_row -> c.name) end)
      filter (where not c.hidden),
    jsonb_agg(c.name) filter (where c.hidden)
    into v_changes, v_hidden
    from (select n.name, v_rule -> 'without' ? n.name or (tenantry.audit_secret_column(n.name) and not v_rule -> 'with' ? n.name) as hidden
      from jsonb_object_keys(v_row) n (name)) c
    where tg_op <> 'UPDATE' or v_old -> c.name is distinct from v_new -> c.name;
  if v_changes is null and v_hidden is null then
    return null; -- written, and nothing changed
  end if;
  v_details := v_details || jsonb_build_object('id', (select jsonb_object_agg(i, v_row -> i) from jsonb_array_elements_text(v_rule -> 'id') i),
      case tg_op when 'UPDATE' then 'changes' when 'INSERT' then 'new' else 'old' end, coalesce(v_changes, '{}'))
    || case when v_hidden is null then '{}' else jsonb_build_object('withheld', v_hidden) end;
  for v_key in select distinct k from (values (v_old ->> (v_rule ->> 'tenant')), (v_new ->> (v_rule ->> 'tenant'))) v (k) where k is not null loop
    v_tenant := case when (v_rule ->> 'key')::boolean then (select o.id from tenantry.organizations o where o.key = v_key)
      else (select o.id from tenantry.organizations o where o.id = v_key::uuid) end;
    exit when v_tenant is null;
    insert into tenantry.audit_pending (tenant_id, action, resource_id, details) values (v_tenant,
      case tg_op when 'INSERT' then 'row.inserted' when 'UPDATE' then 'row.updated' else 'row.deleted' end,
      case when jsonb_array_length(v_rule -> 'id') = 1 and v_row ->> (v_rule -> 'id' ->> 0) ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then (v_row ->> (v_rule -> 'id' ->> 0))::uuid end,
      v_details);
  end loop;
  if v_tenant is null then
    insert into tenantry.operator_log (reason, details) values ('a row of no organization was changed', v_details);
  end if;
  return null;
end $$;

grant select on tenantry.audit_log to tenantry_app;
grant insert (tenant_id, action, actor_principal_id, workspace_id, resource_id, details, request_id, trace_id)
  on tenantry.audit_pending to tenantry_app;
grant select, insert (tenant_id, seq, hash, at, key_id, signature, created_at) on tenantry.audit_checkpoints to tenantry_app;
grant execute on function tenantry.audit_head(), tenantry.audit_maintain(int), tenantry.audit_bytes(tenantry.audit_log), tenantry.audit_field(bytea) to tenantry_app, tenantry_operator;
