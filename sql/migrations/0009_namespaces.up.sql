-- Namespaces (the environments of an organization) with their own limits, who may see and change them, end users by the
-- customer's own id, and what kind of account a person is.

-- ── namespaces ──────────────────────────────────────────────────────────────────────────────────────────────────────

-- {"memories": 1000, "api_calls_per_day": null, "conversations": {"limit": 50, "hard": false}}: a number or null
-- (unlimited) by metric, or by metric and period; as an object it also says whether it refuses or only counts overage.
create function tenantry.valid_limits(p_limits jsonb) returns boolean language plpgsql immutable parallel safe
set search_path = pg_catalog, pg_temp as $$
begin
  return jsonb_typeof(p_limits) = 'object' and not exists (
    select 1 from jsonb_each(p_limits) l(metric, value)
    cross join lateral (select case when jsonb_typeof(l.value) = 'object' then l.value -> 'limit' else l.value end) v(quantity)
    where l.metric !~ '^[a-z][a-z0-9_.-]{0,62}$'
      or v.quantity is null
      or jsonb_typeof(v.quantity) not in ('number', 'null')
      or case when jsonb_typeof(v.quantity) = 'number' then (v.quantity #>> '{}')::numeric < 0 else false end
      or (jsonb_typeof(l.value) = 'object'
        and (l.value - 'limit' - 'hard' <> '{}'::jsonb or jsonb_typeof(coalesce(l.value -> 'hard', 'true')) <> 'boolean')));
end $$;

create table tenantry.namespaces (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  name text not null,
  environment text not null default 'development',
  active boolean not null default true,
  listed boolean not null default false,
  restricted boolean not null default false,
  limits jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint namespaces_name_key unique (tenant_id, name),
  constraint namespaces_name_check check (length(name) between 1 and 255),
  constraint namespaces_environment_check check (environment in ('development', 'staging', 'production')),
  constraint namespaces_limits_check check (tenantry.valid_limits(limits))
);
comment on table tenantry.namespaces is 'Environments of an organization: keys, end users and limits belong to one.';
comment on column tenantry.namespaces.active is 'Off: nothing new in it, and its keys are refused.';
comment on column tenantry.namespaces.listed is 'Among the allowed namespaces, where the organization allows only those listed.';
comment on column tenantry.namespaces.restricted is 'Seen by those alone whom its ACL names, and by holders of namespaces.write.';
comment on column tenantry.namespaces.limits is 'Metric → number or null (unlimited); a metric that is absent inherits from the plan.';

alter table tenantry.organizations
  add column default_namespace_id uuid,
  add column allowed_namespaces text not null default 'all',
  add constraint organizations_allowed_namespaces_check check (allowed_namespaces in ('all', 'listed')),
  add constraint organizations_default_namespace_id_fkey foreign key (id, default_namespace_id) references tenantry.namespaces (tenant_id, id);
comment on column tenantry.organizations.default_namespace_id is 'Where a request belongs that names no namespace.';
create index organizations_default_namespace_id_idx on tenantry.organizations (id, default_namespace_id);

-- The first namespace of an organization is its default until another is chosen.
create function tenantry.set_first_namespace() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  update tenantry.organizations o set default_namespace_id = new.id where o.id = new.tenant_id and o.default_namespace_id is null;
  return null;
end $$;
create trigger first_namespace after insert on tenantry.namespaces
  for each row execute function tenantry.set_first_namespace();
create trigger touch before update on tenantry.namespaces for each row execute function tenantry.touch_updated_at();

-- ── who may read and write what: of the organization itself (no namespace) and of its namespaces ────────────────────

create table tenantry.directory_acl (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  namespace_id uuid,
  principal_id uuid not null,
  can_read boolean not null default true,
  can_write boolean not null default false,
  created_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint directory_acl_key unique nulls not distinct (tenant_id, principal_id, namespace_id),
  constraint directory_acl_namespace_id_fkey foreign key (tenant_id, namespace_id) references tenantry.namespaces (tenant_id, id) on delete cascade,
  constraint directory_acl_principal_id_fkey foreign key (tenant_id, principal_id) references tenantry.principals (tenant_id, id) on delete cascade
);
comment on table tenantry.directory_acl is 'Principal → read, write, on a namespace or (no namespace) on the organization itself.';
create index directory_acl_namespace_id_idx on tenantry.directory_acl (tenant_id, namespace_id);

-- ── end users ───────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.end_users (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  namespace_id uuid not null,
  external_id text not null,
  name text,
  metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint end_users_external_id_key unique (tenant_id, namespace_id, external_id),
  constraint end_users_external_id_check check (length(external_id) between 1 and 255),
  constraint end_users_name_check check (length(name) between 1 and 255),
  constraint end_users_metadata_check check (jsonb_typeof(metadata) = 'object'),
  constraint end_users_namespace_id_fkey foreign key (tenant_id, namespace_id) references tenantry.namespaces (tenant_id, id)
);
comment on table tenantry.end_users is 'The customers of a customer, by the id that it gave them; made on first use.';
create index end_users_list_idx on tenantry.end_users (tenant_id, namespace_id, id);
create trigger end_user_principal after insert or delete on tenantry.end_users
  for each row execute function tenantry.sync_principal('end_user', 'id');
create trigger touch before update on tenantry.end_users for each row execute function tenantry.touch_updated_at();

-- ── who is asking ───────────────────────────────────────────────────────────────────────────────────────────────────

-- The namespace that the current request is confined to (the one of its key), or null: all of the organization's.
create function tenantry.current_namespace() returns uuid language plpgsql stable parallel safe cost 100 as $$
declare
  v pg_catalog.text := pg_catalog.current_setting('app.namespace_id', true);
begin
  if v is null or pg_catalog.length(v) operator(pg_catalog.=) 0 then
    return null;
  end if;
  return v::pg_catalog.uuid;
end $$;

-- What the caller's principals were given by name: ids of namespaces, and the organization's own id.
create function tenantry.caller_acl(p_write boolean) returns uuid[] language plpgsql stable parallel safe security definer cost 1000
set search_path = pg_catalog, pg_temp as $$
begin
  return array(
    select coalesce(a.namespace_id, a.tenant_id) from tenantry.directory_acl a
    where a.tenant_id = tenantry.context_tenant() and a.principal_id = any (tenantry.caller_principals())
      and case when p_write then a.can_write else a.can_read end);
end $$;

-- The restricted namespaces that the caller may not see; few organizations have any.
create function tenantry.hidden_namespaces() returns uuid[] language plpgsql stable parallel safe security definer cost 1000
set search_path = pg_catalog, pg_temp as $$
declare
  ids uuid[];
begin
  select array_agg(n.id) into ids from tenantry.namespaces n where n.tenant_id = tenantry.context_tenant() and n.restricted;
  if ids is null or tenantry.caller_can('namespaces.write') then
    return '{}';
  end if;
  return array(select i from unnest(ids) i where i <> all (tenantry.caller_acl(false)));
end $$;
create index namespaces_restricted_idx on tenantry.namespaces (tenant_id, id) where restricted;

-- What a request may do with end users. A key takes read, write or delete, as for the application's own data, or the same of
-- end_users alone; an end user who asks in person sees itself and changes nothing.
create function tenantry.end_users_may(p_permission text) returns boolean language plpgsql stable parallel safe cost 1000
set search_path = pg_catalog, pg_temp as $$
begin
  if tenantry.current_user_id() is not null then
    return p_permission <> 'delete' or tenantry.caller_can('end_users.write');
  elsif current_setting('app.api_key_id', true) <> '' then
    return tenantry.caller_can(p_permission)
      or tenantry.caller_can(case p_permission when 'read' then 'end_users.read' else 'end_users.write' end);
  end if;
  return coalesce(current_setting('app.end_user_id', true), '') = '' and p_permission <> 'delete';
end $$;

create function tenantry.current_end_user() returns uuid language plpgsql stable parallel safe cost 100 as $$
begin
  return nullif(pg_catalog.current_setting('app.end_user_id', true), '')::pg_catalog.uuid;
end $$;

-- Active, and among those that the organization allows.
create function tenantry.namespace_usable(p_tenant uuid, p_namespace uuid) returns boolean language plpgsql stable security definer
set search_path = pg_catalog, pg_temp as $$
begin
  return exists (
    select 1 from tenantry.namespaces n join tenantry.organizations o on o.id = n.tenant_id
    where n.tenant_id = p_tenant and n.id = p_namespace and n.active and (o.allowed_namespaces = 'all' or n.listed));
end $$;

-- Who made the organization, while a member; else the administrator who has been one longest.
create function tenantry.organization_owner(p_tenant uuid) returns uuid language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
begin
  return (
    select m.user_id from tenantry.org_members m join tenantry.organizations o on o.id = m.tenant_id
    where m.tenant_id = p_tenant and (m.user_id = o.created_by or m.role = 'admin')
    order by (m.user_id = o.created_by) desc nulls last, m.created_at, m.user_id limit 1);
end $$;

create view tenantry.accounts with (security_invoker = true) as
  select m.user_id as id, case when m.user_id = tenantry.organization_owner(m.tenant_id) then 'DEVELOPER' else 'TEAM_MEMBER' end as user_type,
    m.tenant_id as organization_id, null::uuid as developer_organization_id, null::uuid as namespace_id, null::text as external_id,
    m.created_at
  from tenantry.org_members m
  union all
  select e.id, 'END_USER', null, e.tenant_id, e.namespace_id, e.external_id, e.created_at from tenantry.end_users e;
comment on view tenantry.accounts is 'Everybody in an organization by user type: DEVELOPER owns it, TEAM_MEMBER works in it, END_USER is its customer.';

-- ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────

alter table tenantry.namespaces enable row level security;
create policy tenantry_floor on tenantry.namespaces as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.namespaces for select to public using (
  ((select tenantry.current_namespace()) is null or id = (select tenantry.current_namespace()))
  and id <> all ((select tenantry.hidden_namespaces())::uuid[]));
create policy tenantry_access_insert on tenantry.namespaces for insert to public
  with check ((select tenantry.caller_can('namespaces.write')));
create policy tenantry_access_update on tenantry.namespaces for update to public
  using ((select tenantry.caller_can('namespaces.write')) or id = any ((select tenantry.caller_acl(true))::uuid[]));
create policy tenantry_access_delete on tenantry.namespaces for delete to public
  using ((select tenantry.caller_can('namespaces.write')));

-- Who may change an organization without being its administrator.
create policy tenantry_access_acl_update on tenantry.organizations for update to public
  using (id = any ((select tenantry.caller_acl(true))::uuid[]));

alter table tenantry.directory_acl enable row level security;
create policy tenantry_floor on tenantry.directory_acl as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.directory_acl for select to public using (
  namespace_id is null or namespace_id <> all ((select tenantry.hidden_namespaces())::uuid[]));
create policy tenantry_access_write on tenantry.directory_acl for all to public
  using ((select tenantry.caller_can('namespaces.write'))) with check ((select tenantry.caller_can('namespaces.write')));

alter table tenantry.end_users enable row level security;
create policy tenantry_floor on tenantry.end_users as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.end_users for select to public using (
  ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace()))
  and namespace_id <> all ((select tenantry.hidden_namespaces())::uuid[])
  and ((select tenantry.end_users_may('read')) or (select tenantry.end_users_may('write')) or id = (select tenantry.current_end_user())));
create policy tenantry_access_insert on tenantry.end_users for insert to public with check (
  ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace()))
  and (select tenantry.end_users_may('write')) and tenantry.namespace_usable(tenant_id, namespace_id));
create policy tenantry_access_update on tenantry.end_users for update to public using (
  ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace()))
  and (select tenantry.end_users_may('write')));
create policy tenantry_access_delete on tenantry.end_users for delete to public using (
  ((select tenantry.current_namespace()) is null or namespace_id = (select tenantry.current_namespace()))
  and (select tenantry.end_users_may('delete')));

-- ── grants ──────────────────────────────────────────────────────────────────────────────────────────────────────────

grant execute on function tenantry.valid_limits(jsonb), tenantry.current_namespace(), tenantry.caller_acl(boolean), tenantry.hidden_namespaces(),
  tenantry.end_users_may(text), tenantry.current_end_user(), tenantry.namespace_usable(uuid, uuid), tenantry.organization_owner(uuid) to tenantry_app, tenantry_operator;
grant select on tenantry.namespaces, tenantry.directory_acl, tenantry.end_users, tenantry.accounts to tenantry_app;
grant insert (tenant_id, name, environment, active, limits), delete, update (name, environment, active, listed, restricted, limits)
  on tenantry.namespaces to tenantry_app;
grant update (default_namespace_id, allowed_namespaces) on tenantry.organizations to tenantry_app;
grant insert (tenant_id, namespace_id, principal_id, can_read, can_write), delete, update (can_read, can_write) on tenantry.directory_acl to tenantry_app;
-- The id of an end user is its principal's: the database makes it.
grant insert (tenant_id, namespace_id, external_id, name, metadata), delete, update (name, metadata) on tenantry.end_users to tenantry_app;
