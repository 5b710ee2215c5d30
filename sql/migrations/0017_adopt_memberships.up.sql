-- Adoption: old user and membership tables of the host become users and members, and are followed while old code writes them.

set local role tenantry_owner;

-- The plan's `memberships:` becomes functions of fixed names, made by the run and dropped by its undo: adopt_old_users(keys) and
-- adopt_old_members(keys) read the old tables, adopt_sync(keys, alone) calls adopt_sync_users() below with the plan's decisions.

create table tenantry.adoption_users (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  user_id uuid not null references tenantry.users (id) on delete cascade,
  primary key (run_id, user_id)
);
create index adoption_users_user_id_idx on tenantry.adoption_users (user_id);
comment on table tenantry.adoption_users is 'Users that an adoption made: undo removes those that have joined nothing else.';

create table tenantry.adoption_user_keys (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  old_key text not null,
  -- null while the old row has no address that can be used
  user_id uuid references tenantry.users (id) on delete set null,
  primary key (run_id, old_key)
);
create index adoption_user_keys_user_id_idx on tenantry.adoption_user_keys (user_id);
comment on table tenantry.adoption_user_keys is 'Which user each row of the old user table is.';

create table tenantry.adoption_members (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  tenant_id uuid not null,
  user_id uuid not null,
  -- gone from the old tables, or no administrator there any more, and kept as the organization's last one
  held boolean not null default false,
  primary key (run_id, tenant_id, user_id),
  foreign key (tenant_id, user_id) references tenantry.org_members (tenant_id, user_id) on delete cascade
);
create index adoption_members_member_idx on tenantry.adoption_members (tenant_id, user_id);
create index adoption_members_user_id_idx on tenantry.adoption_members (run_id, user_id);
create index adoption_members_held_idx on tenantry.adoption_members (run_id, tenant_id) where held;
comment on table tenantry.adoption_members is 'Memberships that an adoption made out of the old tables; others are never touched.';

-- What the triggers on the old tables could not follow. Plain rows and few of them: a counter would be one row that every transaction
-- of the old application waits for.
create table tenantry.adoption_missed (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  table_name text not null,
  sqlstate text not null,
  -- without what stands in quotation marks: it may be a value
  message text not null,
  missed_at timestamptz not null default clock_timestamp()
);
create index adoption_missed_run_idx on tenantry.adoption_missed (run_id, table_name, missed_at);
comment on table tenantry.adoption_missed is 'Changes of old user and membership tables that could not be followed at once, one row a minute of each kind; the next run follows them and empties it.';

-- Called where the old application must not fail: neither does this.
create function tenantry.adopt_missed(p_table text, p_sqlstate text, p_message text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  insert into tenantry.adoption_missed (run_id, table_name, sqlstate, message)
    select r.id, p_table, p_sqlstate, left(regexp_replace(p_message, '"[^"]*"|''[^'']*''', '…', 'g'), 200)
    from tenantry.adoption_runs r
    where r.status = 'open' and not exists (
      select from tenantry.adoption_missed m
      where m.run_id = r.id and m.table_name = p_table and m.sqlstate = p_sqlstate and m.missed_at > clock_timestamp() - interval '1 minute');
exception when others then
  raise log 'tenantry: a missed change of % cannot be written down: %', p_table, sqlerrm;
end $$;
revoke all on function tenantry.adopt_missed(text, text, text) from public;

create function tenantry.adoption_missed_changes()
returns table (table_name text, sqlstate text, message text, first_at timestamptz, last_at timestamptz)
language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select m.table_name, m.sqlstate, (array_agg(m.message order by m.missed_at desc))[1], min(m.missed_at), max(m.missed_at)
  from tenantry.adoption_missed m join tenantry.adoption_runs r on r.id = m.run_id
  where r.status = 'open' group by 1, 2 order by 1, 2
$$;
comment on function tenantry.adoption_missed_changes() is 'Old tables whose changes wait to be followed, with the reason. No rows and no values.';
revoke all on function tenantry.adoption_missed_changes() from public;
grant execute on function tenantry.adoption_missed_changes() to tenantry_app, tenantry_operator;

-- Makes the memberships of these users what the old tables say, and nothing else: memberships that others made stay as they are.
create function tenantry.adopt_sync_members(p_users uuid[]) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  v_run uuid := (select r.id from tenantry.adoption_runs r where r.status = 'open');
  v_keys text[] := array(select k.old_key from tenantry.adoption_user_keys k where k.run_id = v_run and k.user_id = any (p_users));
  v_changed integer;
  v_led uuid[];
  v_held uuid[];
  r record;
begin
  -- one statement, one snapshot: what it compares belongs together
  with expected as (
    select o.id as tenant_id, k.user_id, case when bool_or(m.role = 'admin') then 'admin' else 'member' end as role
    from tenantry.adopt_old_members(v_keys) m
    join tenantry.adoption_user_keys k on k.run_id = v_run and k.old_key = m.old_key and k.user_id is not null
    join tenantry.organizations o on o.key = m.org_key
    group by 1, 2
  ), added as (
    insert into tenantry.org_members (tenant_id, user_id, role)
      select e.tenant_id, e.user_id, e.role from expected e
      where not exists (select from tenantry.org_members x where x.tenant_id = e.tenant_id and x.user_id = e.user_id)
      order by 1, 2
      on conflict do nothing returning tenant_id, user_id, role
  ), recorded as (
    insert into tenantry.adoption_members (run_id, tenant_id, user_id)
      select v_run, a.tenant_id, a.user_id from added a on conflict do nothing
  ), promoted as (
    update tenantry.org_members m set role = 'admin'
      from expected e, tenantry.adoption_members a
      where e.role = 'admin' and m.role = 'member' and m.tenant_id = e.tenant_id and m.user_id = e.user_id
        and a.run_id = v_run and a.tenant_id = m.tenant_id and a.user_id = m.user_id
      returning m.tenant_id, m.role
  ), changed as (
    select a.tenant_id, a.role from added a union all select p.tenant_id, p.role from promoted p
  )
  select count(*), array_agg(distinct c.tenant_id) filter (where c.role = 'admin') into v_changed, v_led from changed c;

  update tenantry.adoption_members a set held = false where a.run_id = v_run and a.user_id = any (p_users) and a.held;
  for r in
    with expected as (
      select o.id as tenant_id, k.user_id, case when bool_or(m.role = 'admin') then 'admin' else 'member' end as role
      from tenantry.adopt_old_members(v_keys) m
      join tenantry.adoption_user_keys k on k.run_id = v_run and k.old_key = m.old_key and k.user_id is not null
      join tenantry.organizations o on o.key = m.org_key
      group by 1, 2
    )
    select a.tenant_id, a.user_id, m.role, e.role as wanted
    from tenantry.adoption_members a
    join tenantry.org_members m on m.tenant_id = a.tenant_id and m.user_id = a.user_id
    left join expected e on e.tenant_id = a.tenant_id and e.user_id = a.user_id
    where a.run_id = v_run and a.user_id = any (p_users) and (e.role is null or (e.role = 'member' and m.role = 'admin'))
    order by 1, 2
  loop
    if r.role = 'admin' then
      perform 1 from tenantry.organizations o where o.id = r.tenant_id for no key update;
      if not exists (select from tenantry.org_members m where m.tenant_id = r.tenant_id and m.role = 'admin' and m.user_id <> r.user_id) then
        update tenantry.adoption_members a set held = true where a.run_id = v_run and a.tenant_id = r.tenant_id and a.user_id = r.user_id;
        continue;
      end if;
    end if;
    if r.wanted is null then
      delete from tenantry.org_members m where m.tenant_id = r.tenant_id and m.user_id = r.user_id;
    else
      update tenantry.org_members m set role = r.wanted where m.tenant_id = r.tenant_id and m.user_id = r.user_id;
    end if;
    v_changed := v_changed + 1;
  end loop;

  -- whoever was kept as the last administrator may go, now that there is another
  v_held := array(select distinct a.user_id from tenantry.adoption_members a
    where a.run_id = v_run and a.tenant_id = any (v_led) and a.held and a.user_id <> all (p_users));
  if v_held <> '{}' then
    v_changed := v_changed + tenantry.adopt_sync_members(v_held);
  end if;
  delete from tenantry.users u using tenantry.adoption_users a
    where a.run_id = v_run and a.user_id = u.id and u.id = any (p_users)
      and not exists (select from tenantry.adoption_user_keys k where k.run_id = v_run and k.user_id = u.id)
      and not exists (select from tenantry.org_members m where m.user_id = u.id);
  return v_changed;
end $$;

-- Brings users and memberships in step with these rows of the old user table. `p_merge`: rows with one address are one user.
-- `p_alone`: nobody else works on the same rows meanwhile; else those who do share them, and no two wait for each other.
create function tenantry.adopt_sync_users(p_keys text[], p_merge boolean, p_alone boolean) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp set plan_cache_mode = force_generic_plan as $$
declare
  v_run uuid := (select r.id from tenantry.adoption_runs r where r.status = 'open');
  v_users uuid[];
  r record;
begin
  if v_run is null or coalesce(p_keys, '{}') = '{}' then
    return 0;
  end if;
  insert into tenantry.adoption_user_keys (run_id, old_key)
    select v_run, o.old_key from tenantry.adopt_old_users(p_keys) o order by 2 on conflict do nothing;
  if p_alone then
    perform 1 from tenantry.adoption_user_keys k
      where k.run_id = v_run and (k.old_key = any (p_keys)
        or k.user_id in (select x.user_id from tenantry.adoption_user_keys x where x.run_id = v_run and x.old_key = any (p_keys)))
      order by k.old_key for update;
  else
    perform 1 from tenantry.adoption_user_keys k where k.run_id = v_run and k.old_key = any (p_keys) order by k.old_key for key share;
  end if;
  with gone as (
    delete from tenantry.adoption_user_keys k
      where k.run_id = v_run and k.old_key = any (p_keys)
        and not exists (select from tenantry.adopt_old_users(p_keys) o where o.old_key = k.old_key)
      returning k.user_id
  )
  select coalesce(array_agg(g.user_id) filter (where g.user_id is not null), '{}') into v_users from gone g;
  -- another address: a user that is this adoption's and this row's alone takes it along; else the row is another user from now on
  for r in
    select k.old_key, k.user_id, o.email, o.email_key,
           exists (select from tenantry.adoption_users a where a.run_id = v_run and a.user_id = k.user_id)
             and not exists (select from tenantry.adoption_user_keys x where x.run_id = v_run and x.user_id = k.user_id and x.old_key <> k.old_key)
             and not exists (select from tenantry.users y where y.email_key = o.email_key) as renames
    from tenantry.adoption_user_keys k
    join tenantry.adopt_old_users(p_keys) o on o.old_key = k.old_key
    join tenantry.users u on u.id = k.user_id
    where k.run_id = v_run and k.old_key = any (p_keys) and o.email_key is distinct from u.email_key
  loop
    if r.renames and r.email_key is not null then
      update tenantry.users u set email = r.email where u.id = r.user_id;
    else
      update tenantry.adoption_user_keys k set user_id = null where k.run_id = v_run and k.old_key = r.old_key;
      v_users := v_users || r.user_id;
    end if;
  end loop;
  with made as (
    insert into tenantry.users (email, name)
      select distinct on (o.email_key) o.email, o.name
      from tenantry.adopt_old_users(p_keys) o
      join tenantry.adoption_user_keys k on k.run_id = v_run and k.old_key = o.old_key and k.user_id is null
      where o.email_key is not null order by o.email_key, o.old_key
      on conflict (email_key) do nothing returning id
  )
  insert into tenantry.adoption_users (run_id, user_id) select v_run, m.id from made m on conflict do nothing;
  update tenantry.adoption_user_keys k set user_id = u.id
    from (
      select o.old_key, o.email_key, row_number() over (partition by o.email_key order by o.old_key) as nth
      from tenantry.adopt_old_users(p_keys) o
      join tenantry.adoption_user_keys x on x.run_id = v_run and x.old_key = o.old_key and x.user_id is null
    ) n
    join tenantry.users u on u.email_key = n.email_key
    where k.run_id = v_run and k.old_key = n.old_key and k.user_id is null
      and (p_merge or (n.nth = 1 and not exists (select from tenantry.adoption_user_keys y where y.run_id = v_run and y.user_id = u.id)));
  update tenantry.users u set name = o.name
    from tenantry.adopt_old_users(p_keys) o, tenantry.adoption_user_keys k, tenantry.adoption_users a
    where k.run_id = v_run and k.old_key = o.old_key and a.run_id = v_run and a.user_id = k.user_id and u.id = k.user_id
      and o.name is not null and o.name is distinct from u.name
      and not exists (select from tenantry.adoption_user_keys x where x.run_id = v_run and x.user_id = u.id and x.old_key < k.old_key);
  return tenantry.adopt_sync_members(v_users || array(
    select distinct k.user_id from tenantry.adoption_user_keys k
    where k.run_id = v_run and k.old_key = any (p_keys) and k.user_id is not null));
end $$;

-- Memberships that were there before their organization.
create function tenantry.adopt_organization_members() returns trigger
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
  if to_regprocedure('tenantry.adopt_sync(text[],boolean)') is not null and exists (
    select from tenantry.adoption_steps s join tenantry.adoption_runs r on r.id = s.run_id
    where r.status = 'open' and s.id = 'backfill/memberships' and s.status in ('running', 'done')) then
    perform tenantry.adopt_sync(array(select k from tenantry.adopt_old_keys_of(new.key) k), false);
  end if;
  return null;
exception when others then
  raise log 'tenantry: the old memberships of organization % wait: %', new.key, sqlerrm;
  perform tenantry.adopt_missed('tenantry.organizations', sqlstate, sqlerrm);
  return null;
end $$;
create trigger zz_adopt_members after insert on tenantry.organizations
  for each row execute function tenantry.adopt_organization_members();

-- Takes the memberships of the open adoption back: what it made, and nothing else. An organization that it made and that others have
-- joined stays, and keeps its administrators; whoever has joined elsewhere stays a user.
create function tenantry.adopt_forget_members() returns void
language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  v_run uuid := (select r.id from tenantry.adoption_runs r where r.status = 'open');
begin
  -- an organization whose every member goes is left without an administrator, as it was before
  alter table tenantry.org_members disable trigger member_last_admin_delete;
  delete from tenantry.org_members m using tenantry.adoption_members a
    where a.run_id = v_run and m.tenant_id = a.tenant_id and m.user_id = a.user_id
      and (m.role <> 'admin'
        or not exists (select from tenantry.adoption_organizations o where o.run_id = v_run and o.organization_id = m.tenant_id)
        or not exists (select from tenantry.org_members x where x.tenant_id = m.tenant_id
             and not exists (select from tenantry.adoption_members y where y.run_id = v_run and y.tenant_id = x.tenant_id and y.user_id = x.user_id))
        or exists (select from tenantry.org_members x where x.tenant_id = m.tenant_id and x.role = 'admin'
             and not exists (select from tenantry.adoption_members y where y.run_id = v_run and y.tenant_id = x.tenant_id and y.user_id = x.user_id)));
  alter table tenantry.org_members enable trigger member_last_admin_delete;
  delete from tenantry.users u using tenantry.adoption_users a
    where a.run_id = v_run and a.user_id = u.id and not exists (select from tenantry.org_members m where m.user_id = u.id);
  delete from tenantry.adoption_members a where a.run_id = v_run;
  delete from tenantry.adoption_user_keys k where k.run_id = v_run;
  delete from tenantry.adoption_users a where a.run_id = v_run;
end $$;

reset role;
