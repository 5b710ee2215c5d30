-- Append-only: what happened, in which tenant, workspace and resource, by whom. Keys allow partitions by month of "at".

-- One row per tenant that anything was ordered in; whoever adds to its order locks the row at commit.
create table tenantry.tenant_heads (
  tenant_id uuid primary key references tenantry.organizations (id) on delete cascade
) with (fillfactor = 50);
comment on table tenantry.tenant_heads is 'The ends of a tenant''s ordered lists. Written by triggers alone.';
alter table tenantry.tenant_heads enable row level security;

create table tenantry.audit_log (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  at timestamptz not null default clock_timestamp(),
  id uuid not null default tenantry.uuidv7(),
  action text not null,
  actor_principal_id uuid default coalesce(tenantry.current_user_id(), tenantry.context_tenant()),
  workspace_id uuid,
  resource_id uuid,
  details jsonb not null default '{}',
  request_id text,
  trace_id text,
  primary key (tenant_id, at, id),
  constraint audit_log_action_check check (length(action) between 1 and 255)
);
comment on table tenantry.audit_log is 'Append-only. No foreign key to what it names: an entry outlives its subject.';
create index audit_log_resource_idx on tenantry.audit_log (tenant_id, resource_id, at);
create index audit_log_actor_idx on tenantry.audit_log (tenant_id, actor_principal_id, at);

alter table tenantry.audit_log enable row level security;
create policy tenantry_floor on tenantry.audit_log as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.audit_log for select to public using (
  (select tenantry.caller_can('audit.read')));
-- Nobody writes in another's name.
create policy tenantry_access_insert on tenantry.audit_log for insert to public with check (
  actor_principal_id is not distinct from coalesce((select tenantry.current_user_id()), tenant_id));

-- The tenant's rows outlast a mistake of the owner too; only the end of the organization takes them.
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

-- Operators run as the owner: what they did stays, and a tenant's log is not emptied by the way past its rows.
create function tenantry.refuse_log_change() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  raise exception '% is append-only', tg_table_name using errcode = '42501';
end $$;
create trigger append_only before update or delete or truncate on tenantry.operator_log
  for each statement execute function tenantry.refuse_log_change();
create trigger no_truncate before truncate on tenantry.audit_log
  for each statement execute function tenantry.refuse_log_change();

grant select, insert (tenant_id, action, actor_principal_id, workspace_id, resource_id, details, request_id, trace_id) on tenantry.audit_log to tenantry_app;
