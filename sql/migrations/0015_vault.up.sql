-- Data keys, secrets, OAuth tokens and what goes with them. Whatever is secret here is ciphertext: v1.<data key>.<payload>,
-- sealed by the application with a data key of the organization, which is itself wrapped by a key-encryption key that the
-- database never sees. docs/guides/vault.md says how.

-- ── data keys ───────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.data_keys (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  version integer not null,
  status text not null default 'current',
  key_id text not null,
  wrapped bytea not null,
  created_at timestamptz not null default now(),
  rewrapped_at timestamptz,
  retired_at timestamptz,
  primary key (tenant_id, version),
  constraint data_keys_version_check check (version between 1 and 999999999),
  constraint data_keys_status_check check (status in ('current', 'retired')),
  constraint data_keys_key_id_check check (key_id ~ '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$'),
  constraint data_keys_wrapped_check check (length(wrapped) between 32 and 4096)
);
comment on table tenantry.data_keys is 'The keys that an organization''s secrets are encrypted with, each wrapped by a key-encryption key.';
comment on column tenantry.data_keys.key_id is 'The key-encryption key that wrapped it. Rotating that key wraps it anew and leaves the secrets alone.';
-- New values are sealed with one key.
create unique index data_keys_current_key on tenantry.data_keys (tenant_id) where status = 'current';

-- ── secrets ─────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.secrets (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  service text not null default 'application',
  name text not null,
  description text,
  current_version integer not null default 1,
  keep_versions integer not null default 10,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint secrets_keep_versions_check check (keep_versions between 1 and 1000),
  constraint secrets_name_key unique (tenant_id, service, name),
  constraint secrets_service_check check (service ~ '^[a-z][a-z-]{0,62}$'),
  constraint secrets_name_check check (length(name) between 1 and 255),
  constraint secrets_current_version_check check (current_version >= 1)
);
comment on table tenantry.secrets is 'Names of secrets; their values are in tenantry.secret_versions.';
comment on column tenantry.secrets.service is 'application: people''s, by secrets.read and secrets.write. Else the part of Tenantry that keeps it.';

create table tenantry.secret_versions (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  secret_id uuid not null,
  version integer not null,
  value text not null,
  data_key integer not null generated always as (substring(value from '^v1\.([1-9][0-9]{0,8})\.')::integer) stored,
  created_by uuid default tenantry.current_principal_id(),
  created_at timestamptz not null default now(),
  primary key (tenant_id, secret_id, version),
  constraint secret_versions_value_check check (value ~ '^v1\.[1-9][0-9]{0,8}\.[A-Za-z0-9_-]{39,}$'),
  constraint secret_versions_version_check check (version >= 1),
  constraint secret_versions_secret_id_fkey foreign key (tenant_id, secret_id) references tenantry.secrets (tenant_id, id) on delete cascade,
  constraint secret_versions_data_key_fkey foreign key (tenant_id, data_key) references tenantry.data_keys (tenant_id, version)
);
comment on table tenantry.secret_versions is 'The encrypted values, oldest versions last to go. Bound to secret and version: a value that was moved does not open.';
create index secret_versions_data_key_idx on tenantry.secret_versions (tenant_id, data_key);

-- ── OAuth: what a user lets the organization do elsewhere ───────────────────────────────────────────────────────────

create table tenantry.oauth_providers (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  name text not null,
  issuer text not null,
  client_id text not null,
  client_secret text not null,
  data_key integer not null generated always as (substring(client_secret from '^v1\.([1-9][0-9]{0,8})\.')::integer) stored,
  scopes text[] not null default '{openid,offline_access}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint oauth_providers_name_key unique (tenant_id, name),
  constraint oauth_providers_name_check check (name ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  constraint oauth_providers_issuer_check check (issuer ~ '^https?://[^[:space:]]+$' and length(issuer) <= 2000),
  constraint oauth_providers_client_secret_check check (client_secret ~ '^v1\.[1-9][0-9]{0,8}\.[A-Za-z0-9_-]{39,}$'),
  constraint oauth_providers_data_key_fkey foreign key (tenant_id, data_key) references tenantry.data_keys (tenant_id, version)
);
comment on table tenantry.oauth_providers is 'OpenID providers that an organization brought along. The application''s own are in its configuration.';
create index oauth_providers_data_key_idx on tenantry.oauth_providers (tenant_id, data_key);

create table tenantry.oauth_tokens (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  user_id uuid not null,
  provider text not null default 'google',
  issuer text not null default 'https://accounts.google.com',
  access_token text not null,
  refresh_token text not null,
  data_key integer not null generated always as (substring(access_token from '^v1\.([1-9][0-9]{0,8})\.')::integer) stored,
  expires_at timestamptz not null,
  scopes text[],
  subject text,
  status text not null default 'active',
  connected_at timestamptz not null default now(),
  refreshed_at timestamptz,
  failures integer not null default 0,
  failure text,
  retry_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint oauth_tokens_provider_check check (provider ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  constraint oauth_tokens_status_check check (status in ('active', 'needs_consent')),
  constraint oauth_tokens_failures_check check (failures >= 0),
  constraint oauth_tokens_access_token_check check (access_token ~ '^v1\.[1-9][0-9]{0,8}\.[A-Za-z0-9_-]{39,}$'),
  -- Both stand under the same data key, or its version would lie about one of them.
  constraint oauth_tokens_refresh_token_check check (
    refresh_token ~ '^v1\.[1-9][0-9]{0,8}\.[A-Za-z0-9_-]{39,}$' and split_part(refresh_token, '.', 2) = split_part(access_token, '.', 2)),
  constraint oauth_tokens_user_id_fkey foreign key (tenant_id, user_id) references tenantry.org_members (tenant_id, user_id) on delete cascade,
  constraint oauth_tokens_data_key_fkey foreign key (tenant_id, data_key) references tenantry.data_keys (tenant_id, version)
);
comment on table tenantry.oauth_tokens is 'One connection per member and provider, encrypted. It goes with the membership.';
comment on column tenantry.oauth_tokens.issuer is 'Who gave the tokens. They are sent to nobody else, whatever the provider of this name becomes.';
comment on column tenantry.oauth_tokens.refresh_token is 'Sealed empty text where the provider gave none.';
comment on column tenantry.oauth_tokens.scopes is 'What was granted, not what was asked for.';
create unique index idx_oauth_tokens_user_id on tenantry.oauth_tokens (tenant_id, user_id, provider);
create index oauth_tokens_data_key_idx on tenantry.oauth_tokens (tenant_id, data_key);
-- The worker that keeps idle connections alive asks across organizations.
create index oauth_tokens_expires_at_idx on tenantry.oauth_tokens (expires_at) where status = 'active';

create table tenantry.oauth_states (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  user_id uuid not null,
  -- SHA-256 of 256 random bits: what stands here starts nothing.
  state_hash bytea not null,
  provider text not null,
  issuer text not null,
  checks text not null,
  data_key integer not null generated always as (substring(checks from '^v1\.([1-9][0-9]{0,8})\.')::integer) stored,
  redirect_uri text not null,
  return_to text,
  scopes text[] not null,
  expires_at timestamptz not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint oauth_states_state_hash_check check (length(state_hash) = 32),
  constraint oauth_states_checks_check check (checks ~ '^v1\.[1-9][0-9]{0,8}\.[A-Za-z0-9_-]{39,}$'),
  constraint oauth_states_return_to_check check (return_to ~ '^/([^/\\]|$)'),
  constraint oauth_states_user_id_fkey foreign key (tenant_id, user_id) references tenantry.org_members (tenant_id, user_id) on delete cascade,
  constraint oauth_states_data_key_fkey foreign key (tenant_id, data_key) references tenantry.data_keys (tenant_id, version)
);
comment on table tenantry.oauth_states is 'Begun and not finished: one row per way to a provider, taken by the first callback. PKCE verifier and nonce are in checks, sealed.';
-- Global on purpose: 256 random bits collide with nothing, and the callback may come before the tenant is known.
create unique index oauth_states_state_hash_key on tenantry.oauth_states (state_hash);
create index oauth_states_user_id_idx on tenantry.oauth_states (tenant_id, user_id);
create index oauth_states_data_key_idx on tenantry.oauth_states (tenant_id, data_key);
create index oauth_states_expires_at_idx on tenantry.oauth_states (expires_at);

create table tenantry.oauth_revocations (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  user_id uuid not null,
  provider text not null,
  issuer text not null,
  token text not null,
  data_key integer not null generated always as (substring(token from '^v1\.([1-9][0-9]{0,8})\.')::integer) stored,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  failure text,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint oauth_revocations_attempts_check check (attempts >= 0),
  constraint oauth_revocations_token_check check (token ~ '^v1\.[1-9][0-9]{0,8}\.[A-Za-z0-9_-]{39,}$'),
  constraint oauth_revocations_user_id_fkey foreign key (tenant_id, user_id) references tenantry.org_members (tenant_id, user_id) on delete cascade,
  constraint oauth_revocations_data_key_fkey foreign key (tenant_id, data_key) references tenantry.data_keys (tenant_id, version)
);
comment on table tenantry.oauth_revocations is 'Disconnected here, and not yet taken back by the provider: tried again until it is.';
create index oauth_revocations_user_id_idx on tenantry.oauth_revocations (tenant_id, user_id);
create index oauth_revocations_data_key_idx on tenantry.oauth_revocations (tenant_id, data_key);
create index oauth_revocations_next_attempt_at_idx on tenantry.oauth_revocations (next_attempt_at);

-- Rotations of data keys: of no tenant, for those who rotate alone.
create table tenantry.vault_rotations (
  id uuid primary key default tenantry.uuidv7(),
  tenant_id uuid references tenantry.organizations (id) on delete cascade,
  started_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  started_by text not null default session_user
);
comment on table tenantry.vault_rotations is 'A rotation of data keys goes on from here after its process was killed: keys older than started_at are still to do.';
create unique index vault_rotations_open_key on tenantry.vault_rotations (coalesce(tenant_id, '00000000-0000-0000-0000-000000000000'::uuid))
  where finished_at is null;
create index vault_rotations_tenant_id_idx on tenantry.vault_rotations (tenant_id);
alter table tenantry.vault_rotations enable row level security;

-- ── functions and triggers ──────────────────────────────────────────────────────────────────────────────────────────

-- Whether the caller may read or write secrets of a service. What a part of Tenantry keeps is revealed to the
-- organization's own jobs alone, and never to a person.
create function tenantry.caller_secrets(p_service text, p_action text) returns boolean language plpgsql stable parallel safe cost 1000
set search_path = pg_catalog, pg_temp as $$
declare
  job boolean;
begin
  if p_service = 'application' then
    return tenantry.caller_can('secrets.' || p_action);
  end if;
  job := tenantry.caller_principals() = array[tenantry.context_tenant()];
  return job or (p_action = 'write' and tenantry.caller_can(p_service || '.write'));
end $$;
comment on function tenantry.caller_secrets(text, text) is 'Whether the caller may read or write the secrets of a service.';

-- The callback of a provider comes with a state and a signed-in user, and perhaps before the tenant is known.
create function tenantry.oauth_state_tenant(p_state_hash bytea) returns uuid language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return (select s.tenant_id from tenantry.oauth_states s
    where s.state_hash = p_state_hash and s.user_id = tenantry.current_user_id());
end $$;

grant execute on function tenantry.caller_secrets(text, text), tenantry.oauth_state_tenant(bytea) to tenantry_app, tenantry_operator;

-- Who may write a secret need not be able to read what it was before.
create function tenantry.prune_secret_versions() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  delete from tenantry.secret_versions v
    using tenantry.secrets s
    where s.tenant_id = new.tenant_id and s.id = new.secret_id
      and v.tenant_id = new.tenant_id and v.secret_id = new.secret_id and v.version <= new.version - s.keep_versions;
  return null;
end $$;
create trigger secret_version_prune after insert on tenantry.secret_versions
  for each row execute function tenantry.prune_secret_versions();

create function tenantry.sync_gmail_connected() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := coalesce(new.tenant_id, old.tenant_id);
  u uuid := coalesce(new.user_id, old.user_id);
  connected boolean;
begin
  connected := exists (select 1 from tenantry.oauth_tokens o
    where o.tenant_id = t and o.user_id = u and o.provider = 'google' and o.status = 'active');
  update tenantry.org_members m set gmail_connected = connected
    where m.tenant_id = t and m.user_id = u and m.gmail_connected <> connected;
  return null;
end $$;
create trigger gmail_connected_insert after insert on tenantry.oauth_tokens
  for each row when (new.provider = 'google') execute function tenantry.sync_gmail_connected();
create trigger gmail_connected_update after update of status on tenantry.oauth_tokens
  for each row when (new.provider = 'google' and new.status <> old.status) execute function tenantry.sync_gmail_connected();
create trigger gmail_connected_delete after delete on tenantry.oauth_tokens
  for each row when (old.provider = 'google') execute function tenantry.sync_gmail_connected();

create trigger touch before update on tenantry.secrets for each row execute function tenantry.touch_updated_at();
create trigger touch before update on tenantry.oauth_providers for each row execute function tenantry.touch_updated_at();
create trigger touch before update on tenantry.oauth_tokens for each row execute function tenantry.touch_updated_at();

-- ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────

alter table tenantry.data_keys enable row level security;
create policy tenantry_floor on tenantry.data_keys as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.data_keys for select to public using (true);
-- The first key comes with the first secret; every other one from a rotation, which runs as the owner.
create policy tenantry_access_insert on tenantry.data_keys for insert to public with check (version = 1 and status = 'current');

alter table tenantry.secrets enable row level security;
create policy tenantry_floor on tenantry.secrets as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.secrets for select to public
  using (tenantry.caller_secrets(service, 'read') or tenantry.caller_secrets(service, 'write'));
create policy tenantry_access_insert on tenantry.secrets for insert to public
  with check (tenantry.caller_secrets(service, 'write'));
create policy tenantry_access_update on tenantry.secrets for update to public
  using (tenantry.caller_secrets(service, 'write')) with check (tenantry.caller_secrets(service, 'write'));
create policy tenantry_access_delete on tenantry.secrets for delete to public
  using (tenantry.caller_secrets(service, 'write'));

alter table tenantry.secret_versions enable row level security;
create policy tenantry_floor on tenantry.secret_versions as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.secret_versions for select to public using (
  exists (select 1 from tenantry.secrets s where s.tenant_id = secret_versions.tenant_id and s.id = secret_versions.secret_id
    and tenantry.caller_secrets(s.service, 'read')));
create policy tenantry_access_insert on tenantry.secret_versions for insert to public with check (
  exists (select 1 from tenantry.secrets s where s.tenant_id = secret_versions.tenant_id and s.id = secret_versions.secret_id
    and tenantry.caller_secrets(s.service, 'write')));

alter table tenantry.oauth_providers enable row level security;
create policy tenantry_floor on tenantry.oauth_providers as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.oauth_providers for select to public using (true);
create policy tenantry_access_write on tenantry.oauth_providers for all to public
  using ((select tenantry.caller_can('oauth.write'))) with check ((select tenantry.caller_can('oauth.write')));

alter table tenantry.oauth_tokens enable row level security;
create policy tenantry_floor on tenantry.oauth_tokens as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access on tenantry.oauth_tokens for all to public
  using (user_id = tenantry.current_user_id()) with check (user_id = tenantry.current_user_id());

alter table tenantry.oauth_states enable row level security;
create policy tenantry_floor on tenantry.oauth_states as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access on tenantry.oauth_states for all to public
  using (user_id = tenantry.current_user_id()) with check (user_id = tenantry.current_user_id());

alter table tenantry.oauth_revocations enable row level security;
create policy tenantry_floor on tenantry.oauth_revocations as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access on tenantry.oauth_revocations for all to public
  using (user_id = tenantry.current_user_id()) with check (user_id = tenantry.current_user_id());

-- ── grants ──────────────────────────────────────────────────────────────────────────────────────────────────────────

grant select on tenantry.data_keys, tenantry.secrets, tenantry.secret_versions, tenantry.oauth_providers, tenantry.oauth_tokens,
  tenantry.oauth_states, tenantry.oauth_revocations to tenantry_app;
grant insert (tenant_id, version, key_id, wrapped) on tenantry.data_keys to tenantry_app;
grant insert (tenant_id, service, name, description, keep_versions), delete, update (description, current_version, keep_versions) on tenantry.secrets to tenantry_app;
grant insert (tenant_id, secret_id, version, value) on tenantry.secret_versions to tenantry_app;
grant insert (tenant_id, id, name, issuer, client_id, client_secret, scopes), delete,
  update (issuer, client_id, client_secret, scopes) on tenantry.oauth_providers to tenantry_app;
grant insert (tenant_id, id, user_id, provider, issuer, access_token, refresh_token, expires_at, scopes, subject), delete,
  update (issuer, access_token, refresh_token, expires_at, scopes, subject, status, connected_at, refreshed_at, failures, failure, retry_at)
  on tenantry.oauth_tokens to tenantry_app;
grant insert (tenant_id, id, user_id, state_hash, provider, issuer, checks, redirect_uri, return_to, scopes, expires_at), delete
  on tenantry.oauth_states to tenantry_app;
grant insert (tenant_id, id, user_id, provider, issuer, token), delete, update (attempts, next_attempt_at, failure) on tenantry.oauth_revocations to tenantry_app;
