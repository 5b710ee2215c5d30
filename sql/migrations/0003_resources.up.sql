-- The resource envelope, grants, the visible set that lists are read from, prompts, the catalog.

create table tenantry.resource_types (
  name text primary key,
  description text not null,
  built_in boolean not null default false,
  constraint resource_types_name_check check (name ~ '^[a-z][a-z0-9_-]*$' and length(name) <= 63)
);
comment on table tenantry.resource_types is 'What resources.type may hold. An adopter adds a row per type of its own.';
-- src/resources/types.ts holds the same five; a test compares.
insert into tenantry.resource_types (name, description, built_in) values
  ('prompt', 'Instructions for a model', true),
  ('collection', 'A set of other resources or documents', true),
  ('model', 'A model or its configuration', true),
  ('integration', 'A connection to another system', true),
  ('tag', 'A label', true);

create table tenantry.resources (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  workspace_id uuid not null,
  type text not null,
  owner_principal_id uuid not null,
  visibility text not null default 'private',
  name text not null,
  data jsonb not null default '{}',
  -- Who may read, write and grant: kept by triggers from owner, visibility, workspace and grants.
  readers uuid[] not null default '{}',
  writers uuid[] not null default '{}',
  admins uuid[] not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint resources_visibility_check check (visibility in ('private', 'workspace', 'team', 'org', 'public')),
  constraint resources_name_check check (length(name) between 1 and 255),
  constraint resources_workspace_id_fkey foreign key (tenant_id, workspace_id) references tenantry.workspaces (tenant_id, id),
  constraint resources_owner_principal_id_fkey foreign key (tenant_id, owner_principal_id) references tenantry.principals (tenant_id, id)
);
comment on table tenantry.resources is 'The envelope that every resource shares; its own fields live in a table keyed (tenant_id, resource_id).';
create index resources_workspace_updated_idx on tenantry.resources (tenant_id, workspace_id, updated_at, id);
create index resources_type_updated_idx on tenantry.resources (tenant_id, type, updated_at, id);
create index resources_visibility_idx on tenantry.resources (tenant_id, visibility);
create index resources_owner_idx on tenantry.resources (tenant_id, owner_principal_id, updated_at, id);
create index resources_updated_idx on tenantry.resources (tenant_id, updated_at, id);
create index resources_created_idx on tenantry.resources (tenant_id, created_at, id);
create index resources_name_idx on tenantry.resources (tenant_id, name, id);
create index resources_readers_idx on tenantry.resources using gin (readers);

create table tenantry.resource_acl (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  resource_id uuid not null,
  principal_id uuid not null,
  access text not null default 'read',
  granted_by uuid default tenantry.current_user_id(),
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, resource_id, principal_id),
  constraint resource_acl_access_check check (access in ('read', 'write', 'admin')),
  constraint resource_acl_resource_id_fkey foreign key (tenant_id, resource_id) references tenantry.resources (tenant_id, id) on delete cascade,
  constraint resource_acl_principal_id_fkey foreign key (tenant_id, principal_id) references tenantry.principals (tenant_id, id) on delete cascade
);
create index resource_acl_principal_id_idx on tenantry.resource_acl (tenant_id, principal_id);

create table tenantry.resource_visible (
  tenant_id uuid not null,
  principal_id uuid not null,
  updated_at timestamptz not null,
  resource_id uuid not null,
  type text not null,
  primary key (tenant_id, principal_id, updated_at, resource_id)
);
comment on table tenantry.resource_visible is 'resources.readers turned round: one row per principal and resource, in the order of the list. Kept by triggers.';
create index resource_visible_resource_id_idx on tenantry.resource_visible (tenant_id, resource_id);
-- The type stands before the principal: the other way round this index would do for a page of all types too, and where the
-- planner expects few rows it would take it and sort.
create index resource_visible_type_idx on tenantry.resource_visible (tenant_id, type, principal_id, updated_at, resource_id);

create table tenantry.prompts (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  resource_id uuid not null,
  body text not null,
  variables text[] not null default '{}',
  settings jsonb not null default '{}',
  primary key (tenant_id, resource_id),
  constraint prompts_resource_id_fkey foreign key (tenant_id, resource_id) references tenantry.resources (tenant_id, id) on delete cascade
);
comment on table tenantry.prompts is 'What a resource of type prompt adds to its envelope.';

-- ── catalog: global → organization → team → user, the nearest wins ──────────────────────────────────────────────────

create table tenantry.catalog_global_items (
  type text not null,
  key text not null,
  data jsonb not null default '{}',
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (type, key)
);
comment on table tenantry.catalog_global_items is 'Entries for every organization; read-only for the application.';

create table tenantry.catalog_items (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  principal_id uuid not null,
  level text not null,
  type text not null,
  key text not null,
  data jsonb not null default '{}',
  hidden boolean not null default false,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  primary key (tenant_id, id),
  constraint catalog_items_key unique (tenant_id, principal_id, type, key),
  constraint catalog_items_level_check check (level in ('organization', 'team', 'user')),
  constraint catalog_items_text_check check (length(type) between 1 and 255 and length(key) between 1 and 255),
  constraint catalog_items_principal_id_fkey foreign key (tenant_id, principal_id) references tenantry.principals (tenant_id, id) on delete cascade
);
comment on column tenantry.catalog_items.hidden is 'Takes the entries of wider levels away.';

-- ── who may what: computed here alone ───────────────────────────────────────────────────────────────────────────────

create function tenantry.resource_access(p_tenant uuid, p_resource uuid, p_workspace uuid, p_owner uuid, p_visibility text,
  out readers uuid[], out writers uuid[], out admins uuid[])
language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
declare
  w record;
  audience uuid[] := '{}';
  editors uuid[] := '{}';
begin
  select s.kind, s.audience_principal_id, s.editor_principal_id into w
    from tenantry.workspaces s where s.tenant_id = p_tenant and s.id = p_workspace;
  if p_visibility in ('org', 'public') then
    audience := array[p_tenant];
  elsif p_visibility = 'workspace' then
    audience := array[w.audience_principal_id];
  elsif p_visibility = 'team' then
    if w.kind = 'team' then
      audience := array[w.audience_principal_id];
    elsif exists (select 1 from tenantry.principals p where p.tenant_id = p_tenant and p.id = p_owner and p.kind = 'team') then
      audience := array[p_owner];
    else
      raise exception 'visibility team needs a team''s workspace or a team as owner'
        using errcode = '23514', constraint = 'resources_visibility_team';
    end if;
  end if;
  -- What one team alone sees is not for the editors of a wider workspace.
  if p_visibility in ('workspace', 'org', 'public') or (p_visibility = 'team' and w.kind = 'team') then
    editors := array[w.editor_principal_id];
  end if;
  select coalesce(array_agg(distinct x.id), '{}'),
      coalesce(array_agg(distinct x.id) filter (where x.access in ('write', 'admin')), '{}'),
      coalesce(array_agg(distinct x.id) filter (where x.access = 'admin'), '{}')
    into readers, writers, admins
    from (
      select p_owner as id, 'admin' as access
      union all select a, 'read' from unnest(audience) a
      union all select e, 'write' from unnest(editors) e
      union all select g.principal_id, g.access from tenantry.resource_acl g where g.tenant_id = p_tenant and g.resource_id = p_resource
    ) x where x.id is not null;
end $$;

create function tenantry.set_resource_access() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if not exists (select 1 from tenantry.resource_types t where t.name = new.type) then
    raise exception 'resource type "%" is not registered', new.type using errcode = '23514', constraint = 'resources_type_check';
  end if;
  -- A change of the workspace's editors waits for this row, or this row for it: neither misses the other.
  perform 1 from tenantry.workspaces w where w.tenant_id = new.tenant_id and w.id = new.workspace_id for share;
  if not found then
    raise exception 'the workspace does not exist in this organization' using errcode = '23503', constraint = 'resources_workspace_id_fkey';
  end if;
  select a.readers, a.writers, a.admins into new.readers, new.writers, new.admins
    from tenantry.resource_access(new.tenant_id, new.id, new.workspace_id, new.owner_principal_id, new.visibility) a;
  return new;
end $$;
create trigger resource_access before insert or update of tenant_id, id, workspace_id, type, owner_principal_id, visibility on tenantry.resources
  for each row execute function tenantry.set_resource_access();

create function tenantry.refresh_resource_access() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  -- Lock first: the next statement's snapshot then holds what another grant has committed meanwhile.
  perform 1 from tenantry.resources r
    where (r.tenant_id, r.id) in (select c.tenant_id, c.resource_id from changed c)
    order by r.tenant_id, r.id for no key update;
  update tenantry.resources r set readers = a.readers, writers = a.writers, admins = a.admins
    from tenantry.resources x
    cross join lateral tenantry.resource_access(x.tenant_id, x.id, x.workspace_id, x.owner_principal_id, x.visibility) a
    where (x.tenant_id, x.id) in (select c.tenant_id, c.resource_id from changed c)
      and r.tenant_id = x.tenant_id and r.id = x.id
      and (r.readers, r.writers, r.admins) is distinct from (a.readers, a.writers, a.admins);
  return null;
end $$;
create trigger acl_insert after insert on tenantry.resource_acl referencing new table as changed
  for each statement execute function tenantry.refresh_resource_access();
create trigger acl_update after update on tenantry.resource_acl referencing new table as changed
  for each statement execute function tenantry.refresh_resource_access();
create trigger acl_delete after delete on tenantry.resource_acl referencing old table as changed
  for each statement execute function tenantry.refresh_resource_access();

create function tenantry.refresh_workspace_resources() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  update tenantry.resources r set workspace_id = r.workspace_id
    where r.tenant_id = new.tenant_id and r.workspace_id = new.id and r.visibility <> 'private';
  return null;
end $$;
create trigger workspace_resources after update of editor_principal_id on tenantry.workspaces
  for each row when (old.editor_principal_id is distinct from new.editor_principal_id)
  execute function tenantry.refresh_workspace_resources();

create function tenantry.list_visible() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op <> 'INSERT' then
    delete from tenantry.resource_visible v using before_rows b where v.tenant_id = b.tenant_id and v.resource_id = b.id;
  end if;
  if tg_op <> 'DELETE' then
    insert into tenantry.resource_visible (tenant_id, principal_id, updated_at, resource_id, type)
      select a.tenant_id, p.id, a.updated_at, a.id, a.type from after_rows a cross join lateral unnest(a.readers) p(id);
  end if;
  return null;
end $$;
create trigger visible_insert after insert on tenantry.resources referencing new table as after_rows
  for each statement execute function tenantry.list_visible();
create trigger visible_update after update on tenantry.resources referencing old table as before_rows new table as after_rows
  for each statement execute function tenantry.list_visible();
create trigger visible_delete after delete on tenantry.resources referencing old table as before_rows
  for each statement execute function tenantry.list_visible();

-- A new owner, another audience or another workspace is a grant: it takes who may grant, and a workspace that they see.
-- In shadow and off nothing is refused.
create function tenantry.guard_resource_sharing() returns trigger language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  if (old.owner_principal_id, old.visibility, old.workspace_id) is distinct from (new.owner_principal_id, new.visibility, new.workspace_id)
    and row_security_active(tg_relid)
    and (not old.admins && tenantry.caller_principals()
      or old.workspace_id <> new.workspace_id and not exists (
        select 1 from tenantry.workspaces w where w.tenant_id = new.tenant_id and w.id = new.workspace_id))
    and not exists (
      select 1 from pg_policy p
      where p.polrelid = tg_relid and pg_get_expr(p.polqual, p.polrelid) like '%shadow_miss%')
  then
    raise exception 'only who may grant access to a resource may change its owner, visibility or workspace' using errcode = '42501';
  end if;
  return new;
end $$;
create trigger guard_sharing before update of owner_principal_id, visibility, workspace_id on tenantry.resources
  for each row execute function tenantry.guard_resource_sharing();

create trigger touch before update of workspace_id, type, owner_principal_id, visibility, name, data on tenantry.resources
  for each row when ((old.workspace_id, old.type, old.owner_principal_id, old.visibility, old.name, old.data)
    is distinct from (new.workspace_id, new.type, new.owner_principal_id, new.visibility, new.name, new.data))
  execute function tenantry.touch_updated_at();
create trigger touch before update on tenantry.resource_acl for each row execute function tenantry.touch_updated_at();
create trigger touch before update on tenantry.catalog_items for each row execute function tenantry.touch_updated_at();
create trigger touch before update on tenantry.catalog_global_items for each row execute function tenantry.touch_updated_at();

-- A prompt's own fields are part of the resource: changing them moves it to the top of the list.
create function tenantry.touch_resource() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  update tenantry.resources r set updated_at = now() where r.tenant_id = new.tenant_id and r.id = new.resource_id;
  return null;
end $$;
comment on function tenantry.touch_resource() is 'Trigger for tables keyed (tenant_id, resource_id): an update of theirs counts as one of the resource.';
create trigger touch_resource after update on tenantry.prompts for each row when (old.* is distinct from new.*)
  execute function tenantry.touch_resource();

create function tenantry.set_catalog_level() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  new.level := (select p.kind from tenantry.principals p where p.tenant_id = new.tenant_id and p.id = new.principal_id);
  if new.level is null then
    raise exception 'the principal does not exist in this organization' using errcode = '23503', constraint = 'catalog_items_principal_id_fkey';
  end if;
  return new;
end $$;
create trigger catalog_level before insert or update on tenantry.catalog_items
  for each row execute function tenantry.set_catalog_level();

-- ── policies ────────────────────────────────────────────────────────────────────────────────────────────────────────
-- One permissive policy per command with the tenant ANDed: behind a restrictive floor && could not use its GIN index.
-- The modes read these policies from the catalogue, so that off and shadow need no second copy of the rule.

alter table tenantry.resources enable row level security;
create policy tenantry_resource_select on tenantry.resources for select to public using (
  tenant_id = tenantry.current_tenant() and readers && (select tenantry.caller_principals()));
create policy tenantry_resource_insert on tenantry.resources for insert to public with check (
  tenant_id = tenantry.current_tenant() and owner_principal_id = any ((select tenantry.caller_principals())::uuid[])
  and exists (select 1 from tenantry.workspaces w where w.tenant_id = resources.tenant_id and w.id = resources.workspace_id));
create policy tenantry_resource_update on tenantry.resources for update to public using (
  tenant_id = tenantry.current_tenant() and writers && (select tenantry.caller_principals()))
  with check (
  tenant_id = tenantry.current_tenant() and readers && (select tenantry.caller_principals()));
create policy tenantry_resource_delete on tenantry.resources for delete to public using (
  tenant_id = tenantry.current_tenant() and writers && (select tenantry.caller_principals()));

alter table tenantry.resource_visible enable row level security;
create policy tenantry_access on tenantry.resource_visible for select to public using (
  tenant_id = tenantry.current_tenant() and principal_id = any ((select tenantry.caller_principals())::uuid[]));

-- Which way a caller's list goes fastest; a hint that no row depends on, kept by the client for a while. All that it tells
-- of rows that the caller does not see is whether they are most of the newest.
create function tenantry.list_shape(p_type text, p_limit integer, p_search boolean,
  out way text, out many boolean, out until_at timestamptz, out until_id uuid)
language plpgsql stable security definer cost 1000
set search_path = pg_catalog, pg_temp as $$
declare
  t uuid := tenantry.context_tenant();
  caller uuid[] := tenantry.caller_principals();
  counted integer := case when p_search then 20000 else 400 end;
  page integer := least(p_limit, 201);
  -- merging hundreds of principals costs more than walking past some rows that are not seen
  examined integer := page * case when cardinality(caller) > 64 then 20 else 2 end;
  seen integer;
begin
  if p_search and p_type is not null then
    select count(*) into seen from (
      select 1 from tenantry.resource_visible v
      where v.tenant_id = t and v.type = p_type and v.principal_id = any (caller) limit counted + 1) v;
  else
    select count(*) into seen from (
      select 1 from tenantry.resource_visible v where v.tenant_id = t and v.principal_id = any (caller) limit counted + 1) v;
  end if;
  many := seen > 20000;
  way := 'merge';
  -- where nothing is hidden, only the visible set tells what is the caller's
  if p_search or not exists (
    select 1 from pg_class c where c.oid = 'tenantry.resources'::regclass and c.relrowsecurity and not exists (
      select 1 from pg_policy p where p.polrelid = c.oid and pg_get_expr(p.polqual, p.polrelid) like '%shadow_miss%'))
  then
    return;
  end if;
  if seen <= 400 then
    way := 'few';
    return;
  end if;
  if p_type is null then
    select n.updated_at, n.id into until_at, until_id from (
      select r.updated_at, r.id, r.readers from tenantry.resources r
      where r.tenant_id = t order by r.updated_at desc, r.id desc limit examined) n
    where n.readers && caller order by n.updated_at desc, n.id desc offset page - 1 limit 1;
  else
    select n.updated_at, n.id into until_at, until_id from (
      select r.updated_at, r.id, r.readers from tenantry.resources r
      where r.tenant_id = t and r.type = p_type order by r.updated_at desc, r.id desc limit examined) n
    where n.readers && caller order by n.updated_at desc, n.id desc offset page - 1 limit 1;
  end if;
  if found then
    way := 'walk';
  end if;
end $$;

-- The newest first, down to a row, as the policy of the caller shows them. The planner cannot know how much that is and
-- would rather fetch all of it; without sorting it has to walk the index.
create function tenantry.newest_resources(p_type text, p_until_at timestamptz, p_until_id uuid, p_limit integer)
returns setof tenantry.resources language plpgsql stable cost 1000
set search_path = pg_catalog, pg_temp set enable_sort = off set plan_cache_mode = force_generic_plan as $$
begin
  if p_type is null then
    return query select r.* from tenantry.resources r
      where r.tenant_id = tenantry.current_tenant() and (r.updated_at, r.id) >= (p_until_at, p_until_id)
      order by r.updated_at desc, r.id desc limit p_limit;
  else
    return query select r.* from tenantry.resources r
      where r.tenant_id = tenantry.current_tenant() and r.type = p_type and (r.updated_at, r.id) >= (p_until_at, p_until_id)
      order by r.updated_at desc, r.id desc limit p_limit;
  end if;
end $$;

alter table tenantry.resource_acl enable row level security;
create policy tenantry_floor on tenantry.resource_acl as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.resource_acl for select to public using (
  principal_id = any ((select tenantry.caller_principals())::uuid[])
  or exists (select 1 from tenantry.resources r where r.tenant_id = resource_acl.tenant_id and r.id = resource_acl.resource_id
    and r.admins && (select tenantry.caller_principals())));
create policy tenantry_access_write on tenantry.resource_acl for all to public
  using (exists (select 1 from tenantry.resources r where r.tenant_id = resource_acl.tenant_id and r.id = resource_acl.resource_id
    and r.admins && (select tenantry.caller_principals())))
  with check (exists (select 1 from tenantry.resources r where r.tenant_id = resource_acl.tenant_id and r.id = resource_acl.resource_id
    and r.admins && (select tenantry.caller_principals())));

-- What was given to oneself can be given back.
create policy tenantry_access_leave on tenantry.resource_acl for delete to public
  using (principal_id = (select tenantry.current_user_id()));

alter table tenantry.prompts enable row level security;
create policy tenantry_floor on tenantry.prompts as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.prompts for select to public using (
  exists (select 1 from tenantry.resources r where r.tenant_id = prompts.tenant_id and r.id = prompts.resource_id
    and r.readers && (select tenantry.caller_principals())));
create policy tenantry_access_write on tenantry.prompts for all to public
  using (exists (select 1 from tenantry.resources r where r.tenant_id = prompts.tenant_id and r.id = prompts.resource_id
    and r.writers && (select tenantry.caller_principals())))
  with check (exists (select 1 from tenantry.resources r where r.tenant_id = prompts.tenant_id and r.id = prompts.resource_id
    and r.type = 'prompt' and r.writers && (select tenantry.caller_principals())));

alter table tenantry.catalog_items enable row level security;
create policy tenantry_floor on tenantry.catalog_items as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.catalog_items for select to public using (
  principal_id = any ((select tenantry.caller_principals())::uuid[]) or (select tenantry.caller_can('catalog.write')));
create policy tenantry_access_write on tenantry.catalog_items for all to public
  using ((level = 'user' and principal_id = (select tenantry.current_user_id())) or (level <> 'user' and (select tenantry.caller_can('catalog.write'))))
  with check ((level = 'user' and principal_id = (select tenantry.current_user_id())) or (level <> 'user' and (select tenantry.caller_can('catalog.write'))));

grant execute on function tenantry.list_shape(text, integer, boolean), tenantry.newest_resources(text, timestamptz, uuid, integer) to tenantry_app;
grant select on tenantry.resource_types, tenantry.resource_acl, tenantry.resource_visible, tenantry.resources, tenantry.prompts,
  tenantry.catalog_global_items, tenantry.catalog_items to tenantry_app;
grant insert (tenant_id, id, workspace_id, type, owner_principal_id, visibility, name, data),
  update (workspace_id, owner_principal_id, visibility, name, data), delete on tenantry.resources to tenantry_app;
grant insert (tenant_id, resource_id, principal_id, access), update (access), delete on tenantry.resource_acl to tenantry_app;
grant insert, update (body, variables, settings), delete on tenantry.prompts to tenantry_app;
grant insert (tenant_id, id, principal_id, type, key, data, hidden), update (data, hidden), delete on tenantry.catalog_items to tenantry_app;
