import { createPolicy, policiesOf } from '../../../src/isolation/policy.ts';

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

/** A table that a case protects in its own way. */
export const notes = 'create table public.notes (tenant_id uuid not null, id bigint, body text)';

export const indexed = 'create index notes_tenant on public.notes (tenant_id)';
