-- Adoption: the state of bringing an existing database under tenancy. Everything a run needs to go on after kill -9 is here.

set local role tenantry_owner;

create table tenantry.adoption_runs (
  id uuid primary key default tenantry.uuidv7(),
  -- the whole plan with every statement, as it was when the run began: later versions of the file do not change a run under way
  plan json not null,
  plan_hash text not null,
  status text not null default 'open' check (status in ('open', 'undone')),
  -- the furthest phase that is complete
  phase text not null default 'preflight'
    check (phase in ('preflight', 'expand', 'backfill', 'verify', 'tighten', 'shadow', 'enforced')),
  direction text not null default 'forward' check (direction in ('forward', 'undo')),
  -- the lease: one runner at a time, taken over when its heartbeat is old or its backend is gone
  runner uuid,
  runner_pid integer,
  lease_until timestamptz,
  last_error text,
  schema_before text not null,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);
comment on table tenantry.adoption_runs is 'One row per adoption of this database; at most one is open.';
create unique index adoption_runs_one_open on tenantry.adoption_runs ((true)) where status = 'open';

create table tenantry.adoption_steps (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  id text not null,
  position integer not null,
  phase text not null,
  table_name text,
  status text not null default 'pending' check (status in ('pending', 'running', 'done', 'undone')),
  -- where a backfill stands: {page, pages}
  cursor jsonb,
  rows_done bigint not null default 0,
  rows_total bigint,
  -- what undo needs and only the run could know: definitions and owners as they were
  before jsonb,
  attempts integer not null default 0,
  started_at timestamptz,
  finished_at timestamptz,
  primary key (run_id, id)
);
comment on table tenantry.adoption_steps is 'One row per step of a run; written in the same transaction as the step''s own work.';

create table tenantry.adoption_organizations (
  run_id uuid not null references tenantry.adoption_runs (id) on delete cascade,
  organization_id uuid not null,
  primary key (run_id, organization_id)
);
comment on table tenantry.adoption_organizations is 'Organizations that an adoption made out of root rows: undo removes those that nobody has joined.';

-- The organization of a root row, made when there is none. Called by the fill trigger of the root table and by the backfill.
create function tenantry.adopt_organization(p_key text, p_name text) returns uuid
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
  v_id uuid;
  v_name text := coalesce(nullif(left(btrim(p_name), 255), ''), 'Tenant ' || p_key);
  v_base text := btrim(left(regexp_replace(lower(v_name), '[^a-z0-9]+', '-', 'g'), 40), '-');
  v_slug text;
begin
  select o.id into v_id from tenantry.organizations o where o.key = p_key;
  if v_id is not null then
    return v_id;
  end if;
  if v_base = '' then
    v_base := 'tenant';
  end if;
  foreach v_slug in array array[v_base, v_base || '-' || left(md5(p_key), 8), 'tenant-' || md5(p_key)] loop
    insert into tenantry.organizations (name, slug, key) values (v_name, v_slug, p_key)
      on conflict do nothing returning id into v_id;
    if v_id is null then
      select o.id into v_id from tenantry.organizations o where o.key = p_key;
    else
      insert into tenantry.adoption_organizations (run_id, organization_id)
        select r.id, v_id from tenantry.adoption_runs r where r.status = 'open' on conflict do nothing;
    end if;
    if v_id is not null then
      return v_id;
    end if;
  end loop;
  raise exception 'tenantry: no free slug for the organization of key %', p_key using errcode = '23505';
end $$;

reset role;
