-- Removes invoices and credits with everything in them, and what was told to Stripe.

drop table tenantry.stripe_usage, tenantry.stripe_steps, tenantry.stripe_customers, tenantry.credit_entries, tenantry.credits,
  tenantry.invoice_lines, tenantry.invoices, tenantry.invoice_counters;
drop function tenantry.refuse_invoice_change();
