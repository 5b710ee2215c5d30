import { type CheckCase, protect } from './setup.ts';

/** Flaws of ways around the policies. */
export const waysAroundCases: readonly CheckCase[] = [
  {
    code: 'TD011',
    keys: ['public.order_totals'],
    broken: `create view public.order_totals as select tenant_id, sum(amount) from public.orders group by tenant_id;
      alter view public.order_totals owner to tenantry_owner; grant select on public.order_totals to tenantry_app`,
    fixed: 'alter view public.order_totals set (security_invoker = true)',
  },
  {
    // the invoker's view inside runs as the owner of the view around it
    code: 'TD011',
    keys: ['public.outer_view'],
    broken: `create view public.inner_view with (security_invoker = true) as select * from public.orders;
      create view public.outer_view as select * from public.inner_view;
      alter view public.outer_view owner to tenantry_owner;
      grant select on public.inner_view, public.outer_view to tenantry_app`,
    fixed: 'alter view public.outer_view set (security_invoker = true)',
  },
  {
    // what may only be deleted through the view can be deleted of every tenant
    code: 'TD011',
    keys: ['public.order_bin'],
    broken: `create view public.order_bin as select * from public.orders;
      alter view public.order_bin owner to tenantry_owner; grant delete on public.order_bin to tenantry_app`,
    fixed: 'alter view public.order_bin set (security_invoker = true)',
  },
  {
    code: 'TD012',
    keys: ['public.order_counts'],
    broken: `create view public.plain as select * from public.orders;
      create materialized view public.order_counts as select tenant_id, count(*) from public.plain group by tenant_id;
      grant select on public.order_counts to tenantry_app`,
    fixed: 'revoke select on public.order_counts from tenantry_app',
  },
  {
    code: 'TD013',
    keys: ['public.all_orders()'],
    broken: `create function public.all_orders() returns bigint language sql stable security definer set search_path = pg_catalog, pg_temp
        as 'select count(*) from public.orders';
      alter function public.all_orders() owner to tenantry_owner; grant execute on function public.all_orders() to public`,
    fixed: 'revoke execute on function public.all_orders() from public',
  },
  {
    code: 'TD014',
    keys: ['public.stamp()'],
    broken: `create function public.stamp() returns trigger language plpgsql security definer as 'begin return new; end'`,
    fixed: 'alter function public.stamp() set search_path = pg_catalog, pg_temp',
  },
  {
    code: 'TD014',
    keys: ['public.stamp()'],
    setup: 'create schema drop_box; grant usage, create on schema drop_box to :login',
    broken: `create function public.stamp() returns trigger language plpgsql security definer set search_path = pg_catalog, drop_box
      as 'begin return new; end'`,
    fixed: 'revoke create on schema drop_box from :login',
  },
  {
    code: 'TD015',
    keys: ['public.orders:archive'],
    setup: 'create table public.archive (id uuid)',
    broken: 'create rule archive as on delete to public.orders do also insert into public.archive values (old.id)',
    fixed: 'drop rule archive on public.orders',
  },
  {
    code: 'TD016',
    keys: ['public.order_form:write'],
    setup: `create view public.order_form with (security_invoker = true) as select * from public.orders;
      grant select, insert on public.order_form to tenantry_app`,
    broken: `create function public.write_order() returns trigger language plpgsql security definer set search_path = pg_catalog, pg_temp
        as 'begin return new; end';
      alter function public.write_order() owner to tenantry_owner;
      create trigger write instead of insert on public.order_form for each row execute function public.write_order()`,
    fixed: 'alter function public.write_order() security invoker',
  },
  {
    code: 'TD017',
    keys: ['public.events_1'],
    setup: `create table public.events (tenant_id uuid not null, at int not null) partition by range (at);
      create index on public.events (tenant_id); ${protect('events')};
      create table public.events_0 partition of public.events for values from (0) to (10)`,
    broken: `create table public.events_1 partition of public.events for values from (10) to (20);
      grant select on public.events_1 to tenantry_app`,
    fixed: 'statement',
  },
  {
    code: 'TD017',
    keys: ['public.archived_orders'],
    setup: 'create table public.archived_orders () inherits (public.orders)',
    broken: `alter table public.archived_orders enable row level security;
      create policy own on public.archived_orders using (true); grant select on public.archived_orders to tenantry_app`,
    fixed: `create policy floor on public.archived_orders as restrictive using (tenant_id = tenantry.current_tenant())`,
  },
  {
    code: 'TD018',
    keys: ['public.orders:tenantry_app', 'public.customers:public'],
    broken: `grant truncate, references on public.orders to tenantry_app; grant trigger on public.customers to public`,
    fixed: 'statement',
  },
  {
    code: 'TD018',
    keys: ['public.orders:tenantry_app'],
    broken: 'grant references (id) on public.orders to tenantry_app',
    fixed: 'statement',
  },
  {
    code: 'TD019',
    keys: ['public.remote'],
    superuser: true,
    broken: `create foreign data wrapper doctor_wrapper; create server doctor_server foreign data wrapper doctor_wrapper;
      create foreign table public.remote (id int) server doctor_server; grant select on public.remote to tenantry_app`,
    fixed: 'revoke select on public.remote from tenantry_app',
  },
  {
    code: 'TD020',
    keys: ['stream'],
    superuser: true,
    broken: 'create publication stream for table public.orders',
    fixed: 'drop publication stream',
  },
  {
    code: 'TD020',
    keys: ['stream'],
    superuser: true,
    setup: `create table public.events (tenant_id uuid not null, at int not null) partition by range (at);
      create index on public.events (tenant_id); ${protect('events')};
      create table public.events_0 partition of public.events for values from (0) to (10)`,
    broken: 'create publication stream for table public.events_0',
    fixed: 'drop publication stream',
  },
  {
    code: 'TD021',
    keys: ['doctor_:suffix'],
    superuser: true,
    broken: "select pg_create_logical_replication_slot('doctor_:suffix', 'pgoutput')",
    fixed: "select pg_drop_replication_slot('doctor_:suffix')",
  },
  {
    code: 'TD022',
    keys: ['public.invoices_number_seq'],
    setup: `create table public.invoices (tenant_id uuid not null, number bigserial); create index on public.invoices (tenant_id);
      ${protect('invoices')}; grant usage on sequence public.invoices_number_seq to tenantry_app`,
    broken: 'grant select on sequence public.invoices_number_seq to tenantry_app',
    fixed: 'statement',
  },
  {
    code: 'TD022',
    keys: ['public.shared_numbers'],
    setup: `create sequence public.shared_numbers; create table public.invoices (tenant_id uuid not null, n bigint default nextval('public.shared_numbers'));
      create index on public.invoices (tenant_id); ${protect('invoices')}`,
    broken: 'grant usage, select on sequence public.shared_numbers to tenantry_app',
    fixed: 'statement',
  },
  {
    code: 'TD050',
    keys: ['tenantry_admin'],
    broken: 'do $$ begin perform lo_create(4711); grant select on large object 4711 to tenantry_app; end $$',
    fixed: 'revoke select on large object 4711 from tenantry_app',
  },
];
