import { type CheckCase, indexed, notes, protect } from './setup.ts';

/** Flaws of what policies cost. */
export const costCases: readonly CheckCase[] = [
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
];
