-- API keys: what a key may (tenantry.api_keys), the secrets it is known by (api_key_secrets, several while one is rotated),
-- and the look-up by which a request's key finds its organization before there is any tenant (api_key_lookups).

-- ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────

-- read, write and delete are about the application's own data. feature.action is what policies ask for, and * all of it:
-- neither is for a key that stands in a public page.
create function tenantry.valid_key_permissions(p_kind text, p_permissions text[]) returns boolean language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return not exists (
    select 1 from unnest(p_permissions) p
    where p is null or length(p) > 100 or p !~ '^(\*|[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*)$'
      or (p_kind = 'widget' and p ~ '^(\*$|(organization|members|teams|roles|workspaces|namespaces|end_users|keys|catalog|audit|usage|limits|billing|secrets|oauth|webhooks)\.)'));
end $$;

create table tenantry.api_keys (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  namespace_id uuid,
  kind text not null default 'secret',
  environment text not null default 'production',
  name text not null,
  permissions text[] not null default '{read}',
  allowed_origins text[] not null default '{}',
  allowed_addresses cidr[] not null default '{}',
  limits jsonb not null default '{}',
  rate_limit jsonb,
  enabled boolean not null default true,
  expires_at timestamptz,
  revoked_at timestamptz,
  revoked_reason text,
  restorable_until timestamptz,
  created_by uuid default tenantry.current_user_id(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint api_keys_kind_check check (kind in ('secret', 'widget')),
  constraint api_keys_environment_check check (environment in ('development', 'staging', 'production')),
  constraint api_keys_name_check check (length(name) between 1 and 255),
  constraint api_keys_permissions_check check (tenantry.valid_key_permissions(kind, permissions) and cardinality(permissions) <= 200),
  constraint api_keys_allowed_origins_check check (cardinality(allowed_origins) <= 100 and (kind <> 'widget' or cardinality(allowed_origins) > 0)),
  constraint api_keys_allowed_addresses_check check (cardinality(allowed_addresses) <= 100),
  constraint api_keys_limits_check check (tenantry.valid_limits(limits)),
  constraint api_keys_rate_limit_check check (
    rate_limit is null or ((rate_limit ->> 'limit')::numeric > 0 and (rate_limit ->> 'periodMs')::numeric > 0)),
  constraint api_keys_revoked_check check (revoked_at is not null or (restorable_until is null and revoked_reason is null)),
  constraint api_keys_namespace_id_fkey foreign key (tenant_id, namespace_id) references tenantry.namespaces (tenant_id, id) on delete cascade
);
comment on table tenantry.api_keys is 'API keys: each is a principal, bound to its organization and, unless it is for all of them, to one namespace.';
comment on column tenantry.api_keys.environment is 'Its namespace''s, where it has one.';
comment on column tenantry.api_keys.limits is 'Metric → number or null, as in tenantry.namespaces.';
comment on column tenantry.api_keys.rate_limit is '{"limit": 100, "periodMs": 60000, "burst": 20}';
comment on column tenantry.api_keys.restorable_until is 'Until then a revocation can be taken back; null: it cannot.';
create index api_keys_namespace_id_idx on tenantry.api_keys (tenant_id, namespace_id, id);

create table tenantry.api_key_acl (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  key_id uuid not null,
  principal_id uuid not null,
  can_read boolean not null default true,
  can_write boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (tenant_id, key_id, principal_id),
  constraint api_key_acl_key_id_fkey foreign key (tenant_id, key_id) references tenantry.api_keys (tenant_id, id) on delete cascade,
  constraint api_key_acl_principal_id_fkey foreign key (tenant_id, principal_id) references tenantry.principals (tenant_id, id) on delete cascade
);
comment on table tenantry.api_key_acl is 'Principal → read, write: who sees and manages a key beside holders of keys.read and keys.write.';
create index api_key_acl_principal_id_idx on tenantry.api_key_acl (tenant_id, principal_id);

-- ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.api_key_secrets (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  key_id uuid not null,
  -- The public part of the key; of an imported one the HMAC once it is known, and something unguessable until then.
  lookup text not null default 'import:' || gen_random_uuid(),
  -- How people recognize it: the beginning of the key, of a length that gives nothing away.
  hint text not null,
  hash bytea,
  hash_version integer,
  bcrypt_hash text,
  lookup_prefix text,
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint api_key_secrets_hash_check check (
    (length(hash) = 32 and hash_version > 0 and bcrypt_hash is null and lookup_prefix is null)
    or (hash is null and hash_version is null and bcrypt_hash ~ '^\$2[aby]\$(0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}$' and length(lookup_prefix) between 4 and 32)),
  constraint api_key_secrets_hint_check check (length(hint) between 1 and 32),
  constraint api_key_secrets_lookup_check check (length(lookup) between 8 and 64),
  constraint api_key_secrets_key_id_fkey foreign key (tenant_id, key_id) references tenantry.api_keys (tenant_id, id) on delete cascade
);
comment on table tenantry.api_key_secrets is 'What a key is known by: HMAC-SHA-256 under the pepper hash_version, or the bcrypt hash of elsewhere until its first use.';
create index api_key_secrets_key_id_idx on tenantry.api_key_secrets (tenant_id, key_id, created_at);

create table tenantry.api_key_uses (
  tenant_id uuid not null,
  key_id uuid not null,
  last_used_at timestamptz not null,
  primary key (tenant_id, key_id),
  constraint api_key_uses_key_id_fkey foreign key (tenant_id, key_id) references tenantry.api_keys (tenant_id, id) on delete cascade
) with (fillfactor = 70);
comment on table tenantry.api_key_uses is 'When keys were last used: written in batches, to the minute.';

-- ── look-up: global, for nobody to read; one probe answers what a key may ───────────────────────────────────────────

create table tenantry.api_key_lookups (
  lookup text primary key,
  tenant_id uuid not null,
  secret_id uuid not null,
  lookup_prefix text,
  expires_at timestamptz,
  answer text not null,
  constraint api_key_lookups_secret_key unique (tenant_id, secret_id),
  constraint api_key_lookups_secret_fkey foreign key (tenant_id, secret_id) references tenantry.api_key_secrets (tenant_id, id) on delete cascade
);
comment on table tenantry.api_key_lookups is 'Kept by triggers from keys, secrets, namespaces and organizations; read by find_api_key() alone.';
create index api_key_lookups_prefix_idx on tenantry.api_key_lookups (lookup_prefix, tenant_id) where lookup_prefix is not null;
alter table tenantry.api_key_lookups enable row level security;

create view tenantry.api_key_answers with (security_invoker = true) as
  select s.tenant_id, s.key_id, s.id as secret_id, s.lookup, s.lookup_prefix, least(k.expires_at, s.expires_at) as expires_at,
    (jsonb_strip_nulls(jsonb_build_object(
      'keyId', k.id, 'tenantId', k.tenant_id, 'tenantKey', case when o.key <> o.id::text then o.key end, 'secretId', s.id,
      'namespaceId', k.namespace_id, 'environment', k.environment, 'kind', k.kind, 'permissions', k.permissions,
      'origins', nullif(k.allowed_origins, '{}'), 'addresses', nullif(k.allowed_addresses, '{}'),
      'rate', k.rate_limit,
      'hash', encode(s.hash, 'base64'), 'version', s.hash_version, 'bcrypt', s.bcrypt_hash,
      'off', case when k.revoked_at is not null then 'revoked' when not k.enabled then 'disabled'
        when n.id is not null and not (n.active and (o.allowed_namespaces = 'all' or n.listed)) then 'namespace' end
    )) || jsonb_build_object('limits', k.limits))::text as answer
  from tenantry.api_key_secrets s
  join tenantry.api_keys k on k.tenant_id = s.tenant_id and k.id = s.key_id
  join tenantry.organizations o on o.id = s.tenant_id
  left join tenantry.namespaces n on n.tenant_id = k.tenant_id and n.id = k.namespace_id;

create function tenantry.publish_api_keys(p_tenant uuid, p_keys uuid[]) returns void language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  insert into tenantry.api_key_lookups as l (lookup, tenant_id, secret_id, lookup_prefix, expires_at, answer)
    select a.lookup, a.tenant_id, a.secret_id, a.lookup_prefix, a.expires_at, a.answer
    from tenantry.api_key_answers a where a.tenant_id = p_tenant and a.key_id = any (p_keys) order by a.secret_id
    on conflict (tenant_id, secret_id) do update
      set lookup = excluded.lookup, lookup_prefix = excluded.lookup_prefix, expires_at = excluded.expires_at, answer = excluded.answer
      where (l.lookup, l.lookup_prefix, l.expires_at, l.answer)
        is distinct from (excluded.lookup, excluded.lookup_prefix, excluded.expires_at, excluded.answer);
  -- each of them is compared with every text that has the prefix, at the price of bcrypt: together no dearer than 64 of cost 10
  if exists (select from (select distinct s.lookup_prefix from tenantry.api_key_secrets s
        where s.tenant_id = p_tenant and s.key_id = any (p_keys) and s.lookup_prefix is not null) c
      where (select sum(power(2, substr(s.bcrypt_hash, 5, 2)::int)) from tenantry.api_key_lookups l
        join tenantry.api_key_secrets s on s.tenant_id = l.tenant_id and s.id = l.secret_id
        where l.lookup_prefix = c.lookup_prefix and l.tenant_id = p_tenant) > power(2, 16)) then
    raise exception 'too many keys share a look-up prefix' using errcode = '23514', constraint = 'api_keys_lookup_prefix';
  end if;
end $$;

create function tenantry.publish_changed_keys() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  c record;
begin
  if tg_table_name = 'api_keys' then
    for c in select x.tenant_id, array_agg(x.id) as ids from changed x group by x.tenant_id loop
      perform tenantry.publish_api_keys(c.tenant_id, c.ids);
    end loop;
  else
    for c in select x.tenant_id, array_agg(distinct x.key_id) as ids from changed x group by x.tenant_id loop
      perform tenantry.publish_api_keys(c.tenant_id, c.ids);
    end loop;
  end if;
  return null;
end $$;
create trigger publish_update after update on tenantry.api_keys referencing new table as changed
  for each statement execute function tenantry.publish_changed_keys();
create trigger publish_insert after insert on tenantry.api_key_secrets referencing new table as changed
  for each statement execute function tenantry.publish_changed_keys();
create trigger publish_update after update on tenantry.api_key_secrets referencing new table as changed
  for each statement execute function tenantry.publish_changed_keys();

-- What the keys' answers repeat of their namespace and organization.
create function tenantry.publish_keys_of() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if tg_table_name = 'namespaces' then
    update tenantry.api_keys k set environment = new.environment
      where k.tenant_id = new.tenant_id and k.namespace_id = new.id;
  else
    perform tenantry.publish_api_keys(new.id, array(select k.id from tenantry.api_keys k where k.tenant_id = new.id));
  end if;
  return null;
end $$;
create trigger publish_keys after update of active, environment, listed on tenantry.namespaces
  for each row execute function tenantry.publish_keys_of();
create trigger publish_keys after update of key, allowed_namespaces on tenantry.organizations
  for each row when ((old.key, old.allowed_namespaces) is distinct from (new.key, new.allowed_namespaces)) execute function tenantry.publish_keys_of();

-- Tells every process, with the commit of what changed. '*' stands for: all of them.
create function tenantry.notify_api_keys() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  names text;
begin
  if tg_op = 'INSERT' then
    -- the public part of a new key is random: nobody can have asked for it before
    select string_agg(c.lookup, ' ') into names from changed c where length(c.lookup) > 12;
  elsif tg_op = 'UPDATE' then
    select string_agg(x.lookup, ' ') into names from (select lookup from gone union select lookup from changed) x;
  else
    select string_agg(g.lookup, ' ') into names from gone g;
  end if;
  if names is not null then
    perform pg_notify('tenantry_keys', case when length(names) > 7000 then '*' else names end);
  end if;
  return null;
end $$;
create trigger notify_insert after insert on tenantry.api_key_lookups referencing new table as changed
  for each statement execute function tenantry.notify_api_keys();
create trigger notify_update after update on tenantry.api_key_lookups referencing old table as gone new table as changed
  for each statement execute function tenantry.notify_api_keys();
create trigger notify_delete after delete on tenantry.api_key_lookups referencing old table as gone
  for each statement execute function tenantry.notify_api_keys();

-- Before any tenant: what a key may, with its hash for the caller to compare, or null. Milliseconds of life left stand in
-- front of the text, by the server's clock, where it ends.
create function tenantry.find_api_key(p_lookup text) returns text language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp as $$
declare
  ends timestamptz;
  found_answer text;
begin
  select l.answer, l.expires_at into found_answer, ends from tenantry.api_key_lookups l where l.lookup = p_lookup;
  if ends is null then
    return found_answer;
  end if;
  return ceil(extract(epoch from ends - clock_timestamp()) * 1000)::bigint || found_answer;
end $$;

-- The same for several at once; those that are none are left out.
create function tenantry.find_api_keys(p_lookups text[]) returns table (lookup text, answer text) language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select l.lookup, coalesce(ceil(extract(epoch from l.expires_at - clock_timestamp()) * 1000)::bigint::text, '') || l.answer
    from tenantry.api_key_lookups l where l.lookup = any (p_lookups);
end $$;

-- The same for keys from elsewhere that were never used here, by the beginnings of a text. Every organization's have their turn by
-- what their comparison costs, so that none, however much it imports, stands before another's; together no dearer than 64 of cost 10.
create function tenantry.find_imported_api_keys(p_prefixes text[]) returns setof text language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select coalesce(ceil(extract(epoch from c.expires_at - clock_timestamp()) * 1000)::bigint::text, '') || c.answer
    from (
      select t.*, sum(t.cost) over (order by t.turn, t.secret_id) as work
      from (
        select l.expires_at, l.answer, l.secret_id, x.cost,
          sum(x.cost) over (partition by l.tenant_id order by x.cost, l.secret_id) as turn
        from tenantry.api_key_lookups l
        join tenantry.api_key_secrets s on s.tenant_id = l.tenant_id and s.id = l.secret_id
        cross join lateral (select power(2, substr(s.bcrypt_hash, 5, 2)::int) as cost) x
        where l.lookup_prefix = any (p_prefixes)
      ) t
    ) c
    where c.work <= power(2, 16) order by c.turn, c.secret_id;
end $$;

-- Another hash of the same secret: under a newer pepper, or the first of our own. Whoever calls it has seen the old one.
create function tenantry.rehash_api_key(p_tenant uuid, p_secret uuid, p_old_hash bytea, p_old_bcrypt text, p_lookup text, p_hash bytea, p_version integer)
returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  update tenantry.api_key_secrets s
    set hash = p_hash, hash_version = p_version, bcrypt_hash = null, lookup_prefix = null, lookup = coalesce(p_lookup, s.lookup)
    where s.tenant_id = p_tenant and s.id = p_secret and s.hash is not distinct from p_old_hash and s.bcrypt_hash is not distinct from p_old_bcrypt;
  return found;
end $$;

create function tenantry.touch_api_keys(p_tenants uuid[], p_keys uuid[], p_seconds_ago double precision[]) returns void
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
begin
  insert into tenantry.api_key_uses as u (tenant_id, key_id, last_used_at)
    select k.tenant_id, k.id, date_trunc('minute', now() - make_interval(secs => greatest(x.ago, 0)))
    from (select t.tenant, t.key, min(t.ago) as ago from unnest(p_tenants, p_keys, p_seconds_ago) t(tenant, key, ago) group by 1, 2) x
    join tenantry.api_keys k on k.tenant_id = x.tenant and k.id = x.key
    order by k.tenant_id, k.id
    on conflict (tenant_id, key_id) do update set last_used_at = excluded.last_used_at where u.last_used_at < excluded.last_used_at;
end $$;

-- A key that somebody found in public. Whoever calls it holds the key: one of its hashes, under whichever pepper, is the key's; of
-- an imported key that bcrypt cannot tell whole, the bcrypt hash that it was compared with.
create function tenantry.revoke_leaked_api_key(p_tenant uuid, p_secret uuid, p_hashes bytea[], p_bcrypt text, p_details jsonb) returns boolean
language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
  k tenantry.api_keys;
begin
  select x.* into k from tenantry.api_key_secrets s join tenantry.api_keys x on x.tenant_id = s.tenant_id and x.id = s.key_id
    where s.tenant_id = p_tenant and s.id = p_secret and (s.hash = any (p_hashes) or s.bcrypt_hash = p_bcrypt) for update of x;
  if k.id is null or (k.revoked_at is not null and k.restorable_until is null) then
    return false;
  end if;
  update tenantry.api_keys x set revoked_at = coalesce(x.revoked_at, now()), revoked_reason = 'leaked', restorable_until = null
    where x.tenant_id = k.tenant_id and x.id = k.id;
  insert into tenantry.audit_log (tenant_id, action, actor_principal_id, resource_id, details)
    values (k.tenant_id, 'key.leaked', null, k.id, p_details);
  perform tenantry.emit(k.tenant_id, 'key.leaked',
    p_details || jsonb_build_object('keyId', k.id, 'name', k.name, 'namespaceId', k.namespace_id, 'createdBy', k.created_by));
  return true;
end $$;

-- ── who is asking ───────────────────────────────────────────────────────────────────────────────────────────────────

-- The principals of a request that a key or an end user makes; called by caller_principals(). A key that is not this
-- organization's, is off, or claims another namespace than its own, is nobody. It is not the whole organization either,
-- unless it may read it.
create function tenantry.request_principals(p_tenant uuid, p_key uuid, p_end_user uuid) returns uuid[] language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp as $$
declare
  space uuid := nullif(current_setting('app.namespace_id', true), '')::uuid;
  given text[];
begin
  if p_key is not null then
    select k.permissions into given from tenantry.api_keys k
      where k.tenant_id = p_tenant and k.id = p_key and k.enabled and k.revoked_at is null
        and (k.expires_at is null or k.expires_at > now()) and (k.namespace_id is null or k.namespace_id is not distinct from space);
    if given is null then
      return '{}';
    end if;
  end if;
  if p_end_user is not null and not exists (
      select 1 from tenantry.end_users e where e.tenant_id = p_tenant and e.id = p_end_user and (space is null or e.namespace_id = space)) then
    return '{}';
  end if;
  return array_remove(array[p_key, p_end_user], null)
    || case when given && '{*,organization.read}' then array[p_tenant] else '{}' end;
end $$;

-- The permissions of the key that asks; called by caller_permissions().
create function tenantry.key_permissions() returns text[] language plpgsql stable parallel safe security definer
set search_path = pg_catalog, pg_temp as $$
declare
  space uuid := nullif(current_setting('app.namespace_id', true), '')::uuid;
begin
  return coalesce((
    select k.permissions from tenantry.api_keys k
    where k.tenant_id = tenantry.context_tenant() and k.id = nullif(current_setting('app.api_key_id', true), '')::uuid
      and k.enabled and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
      and (k.namespace_id is null or k.namespace_id is not distinct from space)), '{}');
end $$;

-- What the caller's principals were given on keys by name.
create function tenantry.caller_keys(p_write boolean) returns uuid[] language plpgsql stable parallel safe security definer cost 1000
set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select a.key_id from tenantry.api_key_acl a
    where a.tenant_id = tenantry.context_tenant() and a.principal_id = any (tenantry.caller_principals())
      and case when p_write then a.can_write else a.can_read end);
end $$;

-- ── triggers ────────────────────────────────────────────────────────────────────────────────────────────────────────

create trigger api_key_principal after insert or delete on tenantry.api_keys
  for each row execute function tenantry.sync_principal('api_key', 'id');
create trigger touch before update on tenantry.api_keys for each row execute function tenantry.touch_updated_at();

create function tenantry.guard_api_key() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if new.namespace_id is not null then
    new.environment := coalesce(
      (select n.environment from tenantry.namespaces n where n.tenant_id = new.tenant_id and n.id = new.namespace_id), new.environment);
  end if;
  if tg_op = 'UPDATE' and old.revoked_at is not null then
    if new.revoked_at is null and coalesce(old.restorable_until <= clock_timestamp(), true) then
      raise exception 'the revocation of this key cannot be taken back any more' using errcode = '23514', constraint = 'api_keys_restorable';
    end if;
    if new.revoked_at is not null and new.restorable_until is not null and coalesce(new.restorable_until > old.restorable_until, true) then
      raise exception 'a revoked key''s last moment to be restored is not put off' using errcode = '23514', constraint = 'api_keys_restorable';
    end if;
  end if;
  return new;
end $$;
create trigger guard before insert or update on tenantry.api_keys
  for each row execute function tenantry.guard_api_key();

-- ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────

alter table tenantry.api_keys enable row level security;
create policy tenantry_floor on tenantry.api_keys as restrictive for all to public
  using (tenant_id = tenantry.current_tenant() and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())))
  with check (tenant_id = tenantry.current_tenant() and ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace())));
create policy tenantry_access_select on tenantry.api_keys for select to public using (
  (select tenantry.caller_can('keys.read')) or (select tenantry.caller_can('keys.write')) or id = any ((select tenantry.caller_keys(false))::uuid[]));
-- Nobody hands out more than they hold; read, write and delete are for whoever may make keys at all.
create policy tenantry_access_insert on tenantry.api_keys for insert to public with check (
  (select tenantry.caller_can('keys.write')) and tenantry.caller_can_give(array_remove(array_remove(array_remove(permissions, 'read'), 'write'), 'delete')));
create policy tenantry_access_update on tenantry.api_keys for update to public
  using ((select tenantry.caller_can('keys.write')) or id = any ((select tenantry.caller_keys(true))::uuid[]))
  with check (tenantry.caller_can_give(array_remove(array_remove(array_remove(permissions, 'read'), 'write'), 'delete')));
create policy tenantry_access_delete on tenantry.api_keys for delete to public using ((select tenantry.caller_can('keys.write')));

alter table tenantry.api_key_acl enable row level security;
create policy tenantry_floor on tenantry.api_key_acl as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.api_key_acl for select to public using (
  exists (select 1 from tenantry.api_keys k where k.tenant_id = api_key_acl.tenant_id and k.id = api_key_acl.key_id));
create policy tenantry_access_write on tenantry.api_key_acl for all to public
  using ((select tenantry.caller_can('keys.write'))) with check ((select tenantry.caller_can('keys.write')));

alter table tenantry.api_key_secrets enable row level security;
create policy tenantry_floor on tenantry.api_key_secrets as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.api_key_secrets for select to public using (
  exists (select 1 from tenantry.api_keys k where k.tenant_id = api_key_secrets.tenant_id and k.id = api_key_secrets.key_id));
create policy tenantry_access_write on tenantry.api_key_secrets for all to public
  using ((select tenantry.caller_can('keys.write')) or key_id = any ((select tenantry.caller_keys(true))::uuid[]))
  with check ((select tenantry.caller_can('keys.write')) or key_id = any ((select tenantry.caller_keys(true))::uuid[]));

alter table tenantry.api_key_uses enable row level security;
create policy tenantry_floor on tenantry.api_key_uses as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.api_key_uses for select to public using (
  exists (select 1 from tenantry.api_keys k where k.tenant_id = api_key_uses.tenant_id and k.id = api_key_uses.key_id));

-- ── grants: no hash is the application's to read, no id its to choose ───────────────────────────────────────────────

grant execute on function tenantry.valid_key_permissions(text, text[]), tenantry.find_api_key(text), tenantry.find_api_keys(text[]), tenantry.find_imported_api_keys(text[]),
  tenantry.rehash_api_key(uuid, uuid, bytea, text, text, bytea, integer), tenantry.touch_api_keys(uuid[], uuid[], double precision[]),
  tenantry.revoke_leaked_api_key(uuid, uuid, bytea[], text, jsonb), tenantry.caller_keys(boolean) to tenantry_app, tenantry_operator;
grant select on tenantry.api_keys, tenantry.api_key_acl, tenantry.api_key_uses to tenantry_app;
grant insert (tenant_id, namespace_id, kind, environment, name, permissions, allowed_origins, allowed_addresses, limits, rate_limit, expires_at), delete,
  update (name, permissions, allowed_origins, allowed_addresses, limits, rate_limit, enabled, expires_at, revoked_at, revoked_reason, restorable_until)
  on tenantry.api_keys to tenantry_app;
grant insert (tenant_id, key_id, principal_id, can_read, can_write), delete, update (can_read, can_write) on tenantry.api_key_acl to tenantry_app;
grant select (tenant_id, id, key_id, hint, hash_version, expires_at, created_at), delete, update (expires_at),
  insert (tenant_id, key_id, lookup, hint, hash, hash_version, bcrypt_hash, lookup_prefix) on tenantry.api_key_secrets to tenantry_app;
