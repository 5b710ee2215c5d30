-- Invoices with lines, credits, numbers without gaps, and what of them Stripe has been told.

-- ── invoices ────────────────────────────────────────────────────────────────────────────────────────────────────────

create table tenantry.invoice_counters (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  kind text not null,
  last_number bigint not null,
  primary key (tenant_id, kind)
);
comment on table tenantry.invoice_counters is 'The last number given: taken in the transaction that stores the invoice, so that there is no gap.';

create table tenantry.invoices (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  kind text not null default 'invoice',
  number text not null,
  status text not null default 'final',
  subscription_id uuid not null,
  corrects_invoice_id uuid,
  currency text not null,
  time_zone text not null,
  period_index integer,
  period_start timestamptz not null,
  period_end timestamptz not null,
  subtotal bigint not null,
  credits bigint not null,
  total bigint not null,
  reason text,
  request_key text,
  issued_at timestamptz not null default clock_timestamp(),
  voided_at timestamptz,
  pushed_at timestamptz,
  primary key (tenant_id, id),
  constraint invoices_number_key unique (tenant_id, number),
  constraint invoices_request_key unique (tenant_id, request_key),
  constraint invoices_kind_check check (kind in ('invoice', 'credit_note')),
  constraint invoices_status_check check (status in ('final', 'void') and (status = 'void') = (voided_at is not null)),
  constraint invoices_sum_check check (total = subtotal + credits and (kind = 'credit_note' or total >= 0)),
  constraint invoices_shape_check check ((kind = 'credit_note') = (corrects_invoice_id is not null) and (kind = 'invoice') = (period_index is not null)),
  constraint invoices_subscription_id_fkey foreign key (tenant_id, subscription_id) references tenantry.subscriptions (tenant_id, id) on delete cascade,
  constraint invoices_corrects_fkey foreign key (tenant_id, corrects_invoice_id) references tenantry.invoices (tenant_id, id) on delete cascade
);
comment on table tenantry.invoices is 'Finalized invoices and credit notes: never changed, only voided. Amounts in minor units of the currency.';
comment on column tenantry.invoices.pushed_at is 'When Stripe had it as it stands: null again after a change.';
create unique index invoices_period_key on tenantry.invoices (tenant_id, subscription_id, period_index) where kind = 'invoice' and status = 'final';
create index invoices_issued_idx on tenantry.invoices (tenant_id, issued_at, id);
create index invoices_subscription_idx on tenantry.invoices (tenant_id, subscription_id);
create index invoices_corrects_idx on tenantry.invoices (tenant_id, corrects_invoice_id);

create table tenantry.invoice_lines (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  invoice_id uuid not null,
  position integer not null,
  kind text not null,
  charge text not null,
  period_index integer,
  service_start timestamptz not null,
  service_end timestamptz not null,
  description text not null,
  quantity numeric,
  exact numeric not null,
  amount bigint not null,
  details jsonb not null default '{}',
  primary key (tenant_id, invoice_id, position),
  constraint invoice_lines_kind_check check (kind in ('base', 'usage', 'cap', 'correction', 'credit', 'carried', 'credit_note')),
  constraint invoice_lines_invoice_id_fkey foreign key (tenant_id, invoice_id) references tenantry.invoices (tenant_id, id) on delete cascade
);
comment on column tenantry.invoice_lines.charge is 'base, cap or usage:<metric>: with period_index, what has been billed of it already.';
comment on column tenantry.invoice_lines.exact is 'The amount in minor units before it was rounded.';

create table tenantry.credits (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  id uuid not null default tenantry.uuidv7(),
  currency text not null,
  amount bigint not null,
  priority integer not null default 100,
  expires_at timestamptz,
  source text not null default 'grant',
  source_invoice_id uuid,
  reason text not null,
  request_key text,
  created_at timestamptz not null default clock_timestamp(),
  voided_at timestamptz,
  primary key (tenant_id, id),
  constraint credits_request_key unique (tenant_id, request_key),
  constraint credits_amount_check check (amount > 0),
  constraint credits_source_check check (source in ('grant', 'carried', 'credit_note') and (source = 'grant') = (source_invoice_id is null)),
  constraint credits_currency_check check (currency ~ '^[A-Z]{3}$'),
  constraint credits_reason_check check (length(reason) between 1 and 1000),
  constraint credits_source_invoice_id_fkey foreign key (tenant_id, source_invoice_id) references tenantry.invoices (tenant_id, id) on delete cascade
);
comment on table tenantry.credits is 'Money that invoices are paid from first: by priority (low first), then expiry, then age. In minor units.';
create index credits_source_invoice_id_idx on tenantry.credits (tenant_id, source_invoice_id);

create table tenantry.credit_entries (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  credit_id uuid not null,
  invoice_id uuid not null,
  kind text not null,
  amount bigint not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, credit_id, invoice_id, kind),
  constraint credit_entries_kind_check check (case kind when 'use' then amount < 0 when 'return' then amount > 0 else false end),
  constraint credit_entries_credit_id_fkey foreign key (tenant_id, credit_id) references tenantry.credits (tenant_id, id) on delete cascade,
  constraint credit_entries_invoice_id_fkey foreign key (tenant_id, invoice_id) references tenantry.invoices (tenant_id, id) on delete cascade
);
create index credit_entries_invoice_id_idx on tenantry.credit_entries (tenant_id, invoice_id);

-- What is stored stays; only its organization takes it along.
create function tenantry.refuse_invoice_change() returns trigger language plpgsql security definer
set search_path = pg_catalog, pg_temp as $$
begin
  if tg_op = 'DELETE' then
    if exists (select 1 from tenantry.organizations o where o.id = old.tenant_id) then
      raise exception 'a finalized invoice is not deleted: void it' using errcode = '42501';
    end if;
    return old;
  end if;
  -- nested: the other tables have no such column
  if tg_table_name = 'invoices' then
    if (old.status = 'final' or new.status = 'void')
      and to_jsonb(new) - '{status,voided_at,reason,pushed_at}'::text[] = to_jsonb(old) - '{status,voided_at,reason,pushed_at}'::text[] then
      return new;
    end if;
  end if;
  raise exception 'a finalized invoice does not change: void it, or issue a credit note' using errcode = '42501';
end $$;
create trigger final before update or delete on tenantry.invoices for each row execute function tenantry.refuse_invoice_change();
create trigger final before update or delete on tenantry.invoice_lines for each row execute function tenantry.refuse_invoice_change();
create trigger final before update or delete on tenantry.credit_entries for each row execute function tenantry.refuse_invoice_change();

alter table tenantry.invoice_counters enable row level security;
create policy tenantry_floor on tenantry.invoice_counters as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.invoice_counters for select to public using ((select tenantry.caller_can('billing.read')));
alter table tenantry.invoices enable row level security;
create policy tenantry_floor on tenantry.invoices as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.invoices for select to public using ((select tenantry.caller_can('billing.read')));
alter table tenantry.invoice_lines enable row level security;
create policy tenantry_floor on tenantry.invoice_lines as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.invoice_lines for select to public using ((select tenantry.caller_can('billing.read')));
alter table tenantry.credits enable row level security;
create policy tenantry_floor on tenantry.credits as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.credits for select to public using ((select tenantry.caller_can('billing.read')));
alter table tenantry.credit_entries enable row level security;
create policy tenantry_floor on tenantry.credit_entries as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
create policy tenantry_access_select on tenantry.credit_entries for select to public using ((select tenantry.caller_can('billing.read')));
grant select on tenantry.invoices, tenantry.invoice_lines, tenantry.credits, tenantry.credit_entries to tenantry_app;

-- ── what has been told to Stripe: operators alone read and write it ─────────────────────────────────────────────────

create table tenantry.stripe_customers (
  tenant_id uuid primary key references tenantry.organizations (id) on delete cascade,
  customer text not null,
  created_at timestamptz not null default now(),
  constraint stripe_customers_customer_key unique (customer),
  constraint stripe_customers_customer_check check (length(customer) between 1 and 255)
);
comment on table tenantry.stripe_customers is 'Which customer of Stripe an organization is.';

create table tenantry.stripe_steps (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  subject_id uuid not null,
  step text not null,
  attempt integer not null default 1,
  attempted_at timestamptz not null default clock_timestamp(),
  stripe_id text,
  done_at timestamptz,
  primary key (tenant_id, subject_id, step),
  constraint stripe_steps_done_check check ((stripe_id is null) = (done_at is null))
);
comment on table tenantry.stripe_steps is 'One request that makes something at Stripe: written before it is sent, so that whoever goes on after a crash sends the same one.';
comment on column tenantry.stripe_steps.attempt is 'Part of the idempotency key. Raised only when it is known that the last one made nothing.';

create table tenantry.stripe_usage (
  tenant_id uuid not null references tenantry.organizations (id) on delete cascade,
  metric text not null,
  day_start timestamptz not null,
  day_end timestamptz not null,
  sent numeric not null default 0,
  pending numeric,
  pending_since timestamptz,
  events integer not null default 0,
  primary key (tenant_id, metric, day_start),
  constraint stripe_usage_pending_check check ((pending is null) = (pending_since is null))
);
comment on table tenantry.stripe_usage is 'What of a day''s usage Stripe has: sent for sure, and pending while an event is on its way.';

create index invoices_unpushed_idx on tenantry.invoices (issued_at, id) where pushed_at is null;

alter table tenantry.stripe_customers enable row level security;
create policy tenantry_floor on tenantry.stripe_customers as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
alter table tenantry.stripe_steps enable row level security;
create policy tenantry_floor on tenantry.stripe_steps as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
alter table tenantry.stripe_usage enable row level security;
create policy tenantry_floor on tenantry.stripe_usage as restrictive for all to public
  using (tenant_id = tenantry.current_tenant()) with check (tenant_id = tenantry.current_tenant());
