import type { CheckCase } from './setup.ts';

const key = (table: string, column: string, parent: string): string =>
  `{"name": "${table}_${column}_fkey", "table": "public.${table}", "columns": ["${column}"], "parent": "public.${parent}"}`;

/**
 * An adoption as the state of one says it: the two tables of the correct application and two of its own, whose steps are done.
 * The triggers do nothing: what counts is that they are there.
 */
const adopted = `
  create table public.shops (id bigint primary key, name text not null);
  create table public.bills (id bigint primary key, shop_id bigint not null, other_id bigint);
  alter table public.bills add constraint bills_shop_id_fkey foreign key (shop_id) references public.shops (id);
  insert into tenantry.adoption_runs (id, plan, plan_hash, schema_before) values ('0198a000-0000-7000-8000-000000000001', $json$
    {"column": "tenant_id", "tables": [
      {"table": "public.shops", "class": "root", "via": [], "checks": []},
      {"table": "public.bills", "class": "owned", "via": [${key('bills', 'shop_id', 'shops')}], "checks": []},
      {"table": "public.customers", "class": "shared", "via": [], "checks": []},
      {"table": "public.orders", "class": "shared", "via": [], "checks": []}
    ]}$json$, 'hash', '');
  create function public.nothing() returns trigger language plpgsql set search_path = pg_catalog, pg_temp as 'begin return new; end';
  create trigger zz_tenantry_fill_insert before insert on public.bills for each row execute function public.nothing();
  create trigger zz_tenantry_fill_update before update on public.bills for each row execute function public.nothing();
  create trigger zz_tenantry_refs_insert before insert on public.bills for each row execute function public.nothing();
  create trigger zz_tenantry_refs_update before update on public.bills for each row execute function public.nothing();
  insert into tenantry.adoption_steps (run_id, id, position, phase, table_name, status) values
    ('0198a000-0000-7000-8000-000000000001', 'expand/public.bills/triggers', 1, 'expand', 'public.bills', 'done'),
    ('0198a000-0000-7000-8000-000000000001', 'enforced/public.bills/references', 2, 'enforced', 'public.bills', 'done'),
    ('0198a000-0000-7000-8000-000000000001', 'expand/public.shops/triggers', 3, 'expand', 'public.shops', 'pending');`;

const accept = (table: string, columns: string, kind: string): string =>
  `insert into tenantry.adoption_accepted (run_id, table_name, columns, class)
   select id, '${table}', '${columns}', '${kind}' from tenantry.adoption_runs`;

const quiet = ['TD000'];

/** What comes, goes or is switched off after an adoption. */
export const adoptionCases: readonly CheckCase[] = [
  {
    code: 'TD053',
    keys: ['public.currencies'],
    setup: adopted,
    broken: 'create table public.currencies (code text primary key); grant select on public.currencies to tenantry_app',
    fixed: accept('public.currencies', '{}', 'shared'),
    silent: [...quiet, 'TD039'],
  },
  {
    // what looks like a tenant's is reported once
    code: 'TD039',
    keys: ['public.invoices'],
    setup: adopted,
    broken: `create table public.invoices (tenant_id uuid not null); create index on public.invoices (tenant_id);
      grant select on public.invoices to tenantry_app`,
    fixed: 'drop table public.invoices',
    silent: [...quiet, 'TD053'],
  },
  {
    // class: shared refers to a protected table, and that was decided
    code: 'TD039',
    keys: ['public.labels'],
    setup: adopted,
    broken: `create table public.labels (id int primary key, t uuid, o uuid, foreign key (t, o) references public.orders (tenant_id, id));
      grant select on public.labels to tenantry_app`,
    fixed: accept('public.labels', '{}', 'shared'),
    silent: [...quiet, 'TD053'],
  },
  {
    code: 'TD053',
    keys: ['"Odd Place"."Back Log"'],
    setup: `${adopted} create schema "Odd Place"`,
    broken: 'create table "Odd Place"."Back Log" (id int)',
    fixed: 'drop table "Odd Place"."Back Log"',
    silent: quiet,
  },
  {
    code: 'TD054',
    keys: ['public.bills:by_other'],
    setup: adopted,
    broken: 'alter table public.bills add constraint by_other foreign key (other_id) references public.shops (id)',
    fixed: accept('public.bills', '{other_id}', 'key'),
    silent: quiet,
  },
  {
    code: 'TD054',
    keys: ['public.bills:by_other'],
    setup: `${adopted} alter table public.shops add tenant_id uuid; alter table public.bills add tenant_id uuid;
      alter table public.shops add unique (tenant_id, id)`,
    broken: 'alter table public.bills add constraint by_other foreign key (other_id) references public.shops (id)',
    fixed: `alter table public.bills drop constraint by_other,
      add constraint by_other foreign key (tenant_id, other_id) references public.shops (tenant_id, id)`,
    silent: quiet,
  },
  {
    code: 'TD055',
    keys: ['public.bills:bills_shop_id_fkey'],
    setup: adopted,
    broken: 'alter table public.bills drop constraint bills_shop_id_fkey',
    // under another name it is the same key
    fixed:
      'alter table public.bills add constraint renamed foreign key (shop_id) references public.shops (id) not valid',
    silent: [...quiet, 'TD054'],
  },
  {
    code: 'TD056',
    keys: ['public.bills:zz_tenantry_fill_insert', 'public.bills:zz_tenantry_refs_update'],
    setup: adopted,
    broken: `alter table public.bills disable trigger zz_tenantry_fill_insert;
      drop trigger zz_tenantry_refs_update on public.bills`,
    fixed: `alter table public.bills enable trigger zz_tenantry_fill_insert;
      create trigger zz_tenantry_refs_update before update on public.bills for each row execute function public.nothing()`,
    silent: quiet,
  },
  {
    code: 'TD058',
    keys: ['public.bills'],
    setup: `${adopted} alter table public.bills add tenant_id uuid; create index on public.bills (tenant_id);
      insert into public.shops values (1, 'One');
      update tenantry.adoption_runs set phase = 'tighten';
      insert into tenantry.adoption_steps (run_id, id, position, phase, table_name, status)
        values ('0198a000-0000-7000-8000-000000000001', 'tighten/public.bills/guard', 4, 'tighten', 'public.bills', 'done');
      create trigger zz_tenantry_unassigned after insert on public.bills for each row execute function public.nothing();
      grant select on public.bills to tenantry_owner`,
    broken: 'insert into public.bills (id, shop_id) values (1, 1)',
    fixed: 'delete from public.bills where id = 1',
    silent: quiet,
  },
  {
    code: 'TD059',
    keys: ['public.org_user:23505'],
    setup: adopted,
    broken: `select tenantry.adopt_missed('public.org_user', '23505', 'duplicate key value "secret"')`,
    fixed: 'delete from tenantry.adoption_missed',
    silent: quiet,
  },
];
