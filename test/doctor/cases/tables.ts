import { type CheckCase, indexed, notes, protect } from './setup.ts';

/** Flaws of the tables, their policies and the manifest. */
export const tablesCases: readonly CheckCase[] = [
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
    code: 'TD051',
    keys: ['public.notes:shadow'],
    setup: `${notes}; ${indexed}; ${protect('notes')}`,
    broken: "update tenantry.table_modes set mode = 'shadow' where table_name = 'notes'",
    fixed: "update tenantry.table_modes set mode = 'enforced' where table_name = 'notes'",
  },
];
