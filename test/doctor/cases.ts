import { createPolicy, policiesOf } from '../../src/isolation/policy.ts';

/**
 * One flaw and its repair, as SQL. `:login` is the application's login of the case, `:database` its database, `:suffix`
 * something unique. Run as tenantry_admin, or as the superuser where the environment alone could do it.
 */
export interface CheckCase {
  readonly code: string;
  /** Keys (without the code) that the flaw must be found under. */
  readonly keys: readonly string[];
  readonly broken: string;
  /** The fixed twin; the word `statement` runs the statements that the findings bring, as `--fix` does. */
  readonly fixed: string;
  /** What both need and what is no flaw. */
  readonly setup?: string;
  readonly superuser?: boolean;
  /** Also what must not be found in the broken state: the check is not to be louder than the flaw. */
  readonly silent?: readonly string[];
  /** Clean-up of what is not in the database. */
  readonly cleanup?: string;
}

/** SQL that protects a table as the library does. */
export function protect(
  table: string,
  { mode = 'enforced', type }: { mode?: 'off' | 'shadow' | 'enforced'; type?: string } = {},
): string {
  const key = type === undefined ? ({ kind: 'uuid' } as const) : ({ kind: 'key', type } as const);
  const declaration = { schema: 'public', table, column: 'tenant_id', key };
  const policies = policiesOf(declaration, { mode: mode === 'shadow' ? 'shadow' : 'enforced' });
  return [
    `alter table public.${table} owner to tenantry_owner`,
    ...policies.map((policy) => createPolicy(declaration, policy).text),
    `alter table public.${table} ${mode === 'off' ? 'disable' : 'enable'} row level security`,
    `grant select, insert, update, delete on public.${table} to tenantry_app`,
    `insert into tenantry.table_modes (table_schema, table_name, tenant_column, key_type, mode)
     values ('public', '${table}', 'tenant_id', ${type === undefined ? 'null' : `'${type}'`}, '${mode}')`,
  ].join(';\n');
}

/** A correct application: two protected tables that refer to each other, and nothing left open. */
export const correctSetup = `
  grant usage, create on schema public to tenantry_owner;
  create table public.customers (
    tenant_id uuid not null references tenantry.organizations (id), id uuid not null default tenantry.uuidv7(),
    name text not null, primary key (tenant_id, id)
  );
  create table public.orders (
    tenant_id uuid not null references tenantry.organizations (id), id uuid not null default tenantry.uuidv7(),
    customer_id uuid not null, reference text not null, amount numeric not null default 0,
    primary key (tenant_id, id), unique (tenant_id, reference),
    foreign key (tenant_id, customer_id) references public.customers (tenant_id, id) on delete cascade
  );
  create index on public.orders (tenant_id, customer_id);
  ${protect('customers')};
  ${protect('orders')};
  revoke temporary on database :database from public;`;

const notes = 'create table public.notes (tenant_id uuid not null, id bigint, body text)';
const indexed = 'create index notes_tenant on public.notes (tenant_id)';

export const cases: readonly CheckCase[] = [
  {
    code: 'TD001',
    keys: [':login:bypassrls', ':login:createrole', ':login:replication'],
    superuser: true,
    broken: 'alter role :login bypassrls createrole replication',
    fixed: 'alter role :login nobypassrls nocreaterole noreplication',
  },
  {
    code: 'TD001',
    keys: [':login:superuser'],
    superuser: true,
    broken: 'alter role :login superuser',
    fixed: 'alter role :login nosuperuser',
  },
  {
    code: 'TD002',
    keys: [':login:tenantry_owner'],
    superuser: true,
    broken: 'grant tenantry_owner to :login',
    fixed: 'revoke tenantry_owner from :login',
  },
  {
    code: 'TD002',
    keys: [':login:doctor_power_:suffix'],
    superuser: true,
    setup: 'create role doctor_middle_:suffix; create role doctor_power_:suffix bypassrls',
    broken: 'grant doctor_power_:suffix to doctor_middle_:suffix; grant doctor_middle_:suffix to :login',
    fixed: 'revoke doctor_power_:suffix from doctor_middle_:suffix',
    cleanup: 'drop role doctor_middle_:suffix; drop role doctor_power_:suffix',
  },
  {
    code: 'TD003',
    keys: [':login:pg_execute_server_program', ':login:pg_read_all_data'],
    superuser: true,
    broken: 'grant pg_read_all_data, pg_execute_server_program to :login',
    fixed: 'revoke pg_read_all_data, pg_execute_server_program from :login',
  },
  {
    // not inherited, but entered with SET ROLE
    code: 'TD003',
    keys: [':login:pg_read_all_data'],
    superuser: true,
    setup: 'alter role :login noinherit; grant usage on schema tenantry to :login',
    broken: 'grant pg_read_all_data to :login',
    fixed: 'revoke pg_read_all_data from :login',
  },
  {
    code: 'TD004',
    keys: ['public.orders'],
    superuser: true,
    broken: 'alter table public.orders owner to :login',
    fixed: 'alter table public.orders owner to tenantry_owner',
  },
  {
    code: 'TD005',
    keys: ['public.orders'],
    broken: 'alter table public.orders disable row level security',
    fixed: 'statement',
  },
  {
    code: 'TD005',
    keys: ['public.notes'],
    setup: `${notes}; ${indexed}; ${protect('notes', { mode: 'off' })}`,
    broken: 'alter table public.notes enable row level security',
    fixed: 'alter table public.notes disable row level security',
  },
  {
    code: 'TD006',
    keys: ['public.notes'],
    setup: `${notes}; ${indexed}; ${protect('notes')}`,
    broken: 'alter table public.notes rename to remarks',
    fixed: "update tenantry.table_modes set table_name = 'remarks' where table_name = 'notes'",
    silent: ['TD000'],
  },
  {
    code: 'TD007',
    keys: ['public.orders:tenantry_floor'],
    broken: 'drop policy tenantry_floor on public.orders',
    fixed: `create policy tenantry_floor on public.orders as restrictive
      using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant())`,
  },
  {
    code: 'TD007',
    keys: ['public.orders:tenantry_floor'],
    broken:
      'alter policy tenantry_floor on public.orders using (tenant_id = tenantry.current_tenant() or tenantry.current_tenant() is null)',
    fixed: 'alter policy tenantry_floor on public.orders using (tenant_id = tenantry.current_tenant())',
  },
  {
    code: 'TD007',
    keys: ['public.orders:tenantry_floor'],
    broken: 'alter policy tenantry_floor on public.orders to tenantry_app',
    fixed: 'alter policy tenantry_floor on public.orders to public',
  },
  {
    code: 'TD007',
    keys: ['public.orders:tenantry_floor'],
    broken: 'alter policy tenantry_floor on public.orders with check (true)',
    fixed: 'alter policy tenantry_floor on public.orders with check (tenant_id = tenantry.current_tenant())',
  },
  {
    code: 'TD007',
    keys: ['public.orders:tenantry_floor'],
    broken:
      'alter policy tenantry_floor on public.orders using (id = tenantry.current_tenant()) with check (id = tenantry.current_tenant())',
    fixed:
      'alter policy tenantry_floor on public.orders using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant())',
  },
  {
    code: 'TD007',
    keys: ['public.notes:tenantry_shadow_delete'],
    setup: `${notes}; ${indexed}; ${protect('notes', { mode: 'shadow' })}`,
    broken: 'alter policy tenantry_shadow_delete on public.notes to tenantry_app',
    fixed: 'alter policy tenantry_shadow_delete on public.notes to public',
  },
  {
    code: 'TD007',
    keys: ['public.accounts:tenantry_floor'],
    setup: `create table public.accounts (tenant_id bigint not null, id bigint); create index on public.accounts (tenant_id);
      ${protect('accounts', { type: 'bigint' })}`,
    broken: 'alter policy tenantry_floor on public.accounts using (tenant_id <= tenantry.current_tenant_key()::bigint)',
    fixed: 'alter policy tenantry_floor on public.accounts using (tenant_id = tenantry.current_tenant_key()::bigint)',
  },
  {
    code: 'TD008',
    keys: ['public.settings'],
    setup: 'create table public.settings (name text); grant select on public.settings to tenantry_app',
    broken: 'alter table public.settings enable row level security',
    fixed: 'create policy own on public.settings using (name = current_user)',
  },
  {
    code: 'TD009',
    keys: ['tenantry.teams'],
    broken: 'alter table tenantry.teams disable row level security',
    fixed: 'statement',
  },
  {
    code: 'TD010',
    keys: ['public.orders:everybody'],
    broken: 'drop policy tenantry_floor on public.orders; create policy everybody on public.orders using (true)',
    fixed: `create policy floor on public.orders as restrictive using (tenant_id = tenantry.current_tenant())`,
  },
  {
    // a floor for reading alone leaves writing open
    code: 'TD010',
    keys: ['public.orders:tenantry_access'],
    broken:
      'drop policy tenantry_floor on public.orders; create policy readers on public.orders as restrictive for select using (tenant_id = tenantry.current_tenant())',
    fixed: `create policy i on public.orders as restrictive for insert with check (tenant_id = tenantry.current_tenant());
      create policy u on public.orders as restrictive for update using (tenant_id = tenantry.current_tenant());
      create policy d on public.orders as restrictive for delete using (tenant_id = tenantry.current_tenant())`,
  },
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
    code: 'TD023',
    keys: ['public.customers:customers_name_key'],
    broken: 'alter table public.customers add constraint customers_name_key unique (name)',
    fixed:
      'alter table public.customers drop constraint customers_name_key, add constraint customers_name_key unique (tenant_id, name)',
  },
  {
    code: 'TD023',
    keys: ['public.orders:orders_reference_excl'],
    broken: 'alter table public.orders add exclude (reference with =)',
    fixed:
      'alter table public.orders drop constraint orders_reference_excl, add exclude (tenant_id with =, reference with =)',
  },
  {
    code: 'TD024',
    keys: ['public.orders:by_id'],
    setup:
      'alter table public.customers add constraint customers_id unique (id); alter table public.orders add other_id uuid',
    broken: 'alter table public.orders add constraint by_id foreign key (other_id) references public.customers (id)',
    fixed: `alter table public.orders drop constraint by_id,
      add constraint by_id foreign key (tenant_id, other_id) references public.customers (tenant_id, id)`,
  },
  {
    code: 'TD025',
    keys: ['public.orders:by_id'],
    setup:
      'alter table public.customers add constraint customers_id unique (id); alter table public.orders add other_id uuid',
    broken:
      'alter table public.orders add constraint by_id foreign key (other_id) references public.customers (id) on delete cascade',
    fixed: `alter table public.orders drop constraint by_id,
      add constraint by_id foreign key (tenant_id, other_id) references public.customers (tenant_id, id) on delete cascade`,
  },
  {
    // within one tenant, but the action would empty the tenant column too
    code: 'TD025',
    keys: ['public.orders:by_id'],
    setup: 'alter table public.orders add other_id uuid',
    broken: `alter table public.orders add constraint by_id foreign key (tenant_id, other_id)
      references public.customers (tenant_id, id) on delete set null`,
    fixed: `alter table public.orders drop constraint by_id, add constraint by_id foreign key (tenant_id, other_id)
      references public.customers (tenant_id, id) on delete set null (other_id)`,
  },
  {
    code: 'TD026',
    keys: ['public.orders:orders_tenant_id_customer_id_fkey'],
    broken: 'drop index public.orders_tenant_id_customer_id_idx',
    fixed: 'create index on public.orders (customer_id, tenant_id)',
  },
  {
    code: 'TD027',
    keys: ['public.orders:tenant_id'],
    broken: "alter table public.orders alter column tenant_id set default current_setting('app.tenant_id')::uuid",
    fixed: 'alter table public.orders alter column tenant_id set default tenantry.current_tenant()',
  },
  {
    code: 'TD028',
    keys: ['public.mine(uuid)'],
    broken: `create function public.mine(tenant uuid) returns boolean language sql immutable
      as $$ select tenant = current_setting('app.tenant_id', true)::uuid $$`,
    fixed: 'alter function public.mine(uuid) stable',
  },
  {
    code: 'TD028',
    keys: ['public.mine(uuid)'],
    broken: `create function public.mine(tenant uuid) returns boolean language sql immutable
      return tenant = tenantry.current_tenant()`,
    fixed: 'alter function public.mine(uuid) stable',
  },
  {
    code: 'TD029',
    keys: ['public.orders:sometimes'],
    broken: 'create policy sometimes on public.orders as restrictive using (random() < 2)',
    fixed: 'drop policy sometimes on public.orders',
  },
  {
    code: 'TD029',
    keys: ['public.orders:by_setting'],
    broken: `create policy by_setting on public.orders as restrictive using (tenant_id = current_setting('app.tenant_id', true)::uuid)`,
    fixed: `alter policy by_setting on public.orders using (tenant_id = (select current_setting('app.tenant_id', true)::uuid))`,
  },
  {
    code: 'TD030',
    keys: ['public.notes'],
    setup: `${notes}; ${indexed}; ${protect('notes')}`,
    broken: 'drop index public.notes_tenant; create index notes_tenant on public.notes (id, tenant_id)',
    fixed: 'create index notes_by_tenant on public.notes (tenant_id, id)',
  },
  {
    code: 'TD031',
    keys: ['public.orders:as_text:tenant_id'],
    broken:
      'create policy as_text on public.orders as restrictive using (tenant_id::text = tenantry.current_tenant_key())',
    fixed: 'alter policy as_text on public.orders using (tenant_id = tenantry.current_tenant_key()::uuid)',
  },
  {
    code: 'TD032',
    keys: ['public.orders:orders_amount', 'public.orders:orders_lower', 'public.orders:orders_like'],
    broken: `create index orders_amount on public.orders (amount);
      create index orders_lower on public.orders (lower(reference));
      create index orders_like on public.orders (reference text_pattern_ops)`,
    fixed: `drop index public.orders_amount, public.orders_lower, public.orders_like;
      create index orders_amount on public.orders (tenant_id, amount);
      create index orders_like on public.orders (tenant_id, reference text_pattern_ops);
      create index orders_reference on public.orders (reference)`,
  },
  {
    code: 'TD033',
    keys: ['public.notes'],
    setup: `${notes}; ${indexed}; ${protect('notes')}`,
    broken: 'alter table public.notes alter column tenant_id drop not null',
    fixed: 'alter table public.notes alter column tenant_id set not null',
  },
  {
    code: 'TD034',
    keys: ['public.notes'],
    setup: `${notes}; ${indexed}; ${protect('notes')}; alter table public.notes set (autovacuum_enabled = false)`,
    broken: 'insert into public.notes select tenantry.uuidv7(), n, md5(n::text) from generate_series(1, 3000) n',
    fixed: 'statement',
  },
  {
    code: 'TD035',
    keys: ['public.notes'],
    setup: `${notes}; ${indexed}; ${protect('notes')}; alter table public.notes set (autovacuum_enabled = false); analyze public.notes`,
    broken: `insert into tenantry.organizations (name, slug, key) values ('New', 'new-:suffix', 'new-:suffix');
      insert into public.notes select tenantry.uuidv7(), n, md5(n::text) from generate_series(1, 3000) n;
      select pg_stat_force_next_flush()`,
    fixed: 'statement',
  },
  {
    code: 'TD036',
    keys: [':login:everywhere:app.tenant_id', 'session:app.tenant_id', ':login:here:row_security'],
    superuser: true,
    broken: `alter role :login set app.tenant_id = '00000000-0000-7000-8000-000000000001';
      alter role :login in database :database set row_security = off`,
    fixed: 'statement',
  },
  {
    code: 'TD039',
    keys: ['public.invoices'],
    broken: `create table public.invoices (tenant_id uuid not null); create index on public.invoices (tenant_id);
      grant select on public.invoices to tenantry_app`,
    fixed: protect('invoices'),
  },
  {
    code: 'TD039',
    keys: ['public.shipments'],
    broken: `create table public.shipments (id int, t uuid, o uuid, foreign key (t, o) references public.orders (tenant_id, id))`,
    fixed: 'alter table public.shipments drop constraint shipments_t_o_fkey',
  },
  {
    code: 'TD040',
    keys: [':database'],
    broken: 'grant temporary on database :database to tenantry_app',
    fixed: 'revoke temporary on database :database from tenantry_app',
  },
  {
    code: 'TD041',
    keys: ['public', 'tenantry'],
    superuser: true,
    broken: 'grant create on schema public to :login; grant create on schema tenantry to tenantry_app',
    fixed: 'revoke create on schema public from :login; revoke create on schema tenantry from tenantry_app',
  },
  {
    code: 'TD043',
    keys: ['tenantry_owner:public:public', 'tenantry_admin:*:tenantry_app'],
    broken: `alter default privileges for role tenantry_owner in schema public grant select on tables to public;
      alter default privileges for role tenantry_admin grant all on tables to tenantry_app`,
    fixed: 'statement',
  },
  {
    code: 'TD044',
    keys: [':login:pg_read_all_stats'],
    superuser: true,
    broken: 'grant pg_read_all_stats to :login',
    fixed: 'revoke pg_read_all_stats from :login',
  },
  {
    code: 'TD045',
    keys: ['doctor_owner_:suffix'],
    superuser: true,
    broken: 'create role doctor_owner_:suffix login; alter table public.orders owner to doctor_owner_:suffix',
    fixed: 'alter role doctor_owner_:suffix nologin',
    cleanup: 'reassign owned by doctor_owner_:suffix to tenantry_owner; drop role doctor_owner_:suffix',
  },
  {
    code: 'TD046',
    keys: ['current_tenant'],
    broken: `create or replace function tenantry.current_tenant() returns uuid language sql stable as
      $$ select '00000000-0000-7000-8000-000000000001'::uuid $$`,
    fixed: `create or replace function tenantry.current_tenant() returns uuid language plpgsql stable parallel safe cost 100 as
      $$ begin return pg_catalog.current_setting('app.tenant_id', true)::pg_catalog.uuid; end $$`,
  },
  {
    code: 'TD047',
    keys: ['doctor_job_:suffix'],
    superuser: true,
    broken: 'create role doctor_job_:suffix login; grant select on public.orders to doctor_job_:suffix',
    fixed: 'grant tenantry_app to doctor_job_:suffix',
    cleanup: 'drop owned by doctor_job_:suffix; drop role doctor_job_:suffix',
  },
  {
    code: 'TD049',
    keys: ['public.dblink(text)', 'public.dblink_connect(text)'],
    superuser: true,
    broken: 'create extension dblink',
    fixed: `do $$ declare f regprocedure; begin
        for f in select objid::regprocedure from pg_depend d join pg_extension e on e.oid = d.refobjid
          where e.extname = 'dblink' and d.classid = 'pg_proc'::regclass and d.deptype = 'e' loop
          execute format('revoke execute on function %s from public', f);
        end loop;
      end $$`,
  },
  {
    code: 'TD050',
    keys: ['tenantry_admin'],
    broken: 'do $$ begin perform lo_create(4711); grant select on large object 4711 to tenantry_app; end $$',
    fixed: 'revoke select on large object 4711 from tenantry_app',
  },
  {
    code: 'TD051',
    keys: ['public.notes:shadow'],
    setup: `${notes}; ${indexed}; ${protect('notes')}`,
    broken: "update tenantry.table_modes set mode = 'shadow' where table_name = 'notes'",
    fixed: "update tenantry.table_modes set mode = 'enforced' where table_name = 'notes'",
  },
];
