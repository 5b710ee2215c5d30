import { type CheckCase } from './setup.ts';

/** Flaws of keys, columns and functions. */
export const keysCases: readonly CheckCase[] = [
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
];
