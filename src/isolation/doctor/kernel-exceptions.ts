/** What checks find in Tenantry's own schema and is meant so: key, written for the schema `tenantry`, and reason. */
export const kernelExceptions: Readonly<Record<string, string>> = {
  'TD023:tenantry.invitations:invitations_token_hash_key':
    'The token comes before any tenant; it holds 256 random bits, so a collision tells nothing.',
  'TD023:tenantry.oauth_states:oauth_states_state_hash_key':
    'The callback comes before the tenant is known; 256 random bits, so a collision tells nothing.',
  'TD032:tenantry.oauth_states:oauth_states_expires_at_idx':
    'Maintenance goes over every organization, as an operator.',
  'TD032:tenantry.oauth_tokens:oauth_tokens_expires_at_idx':
    'Maintenance goes over every organization, as an operator.',
  'TD032:tenantry.oauth_revocations:oauth_revocations_next_attempt_at_idx':
    'Maintenance goes over every organization, as an operator.',
  'TD023:tenantry.stripe_customers:stripe_customers_customer_key':
    'Written by operators alone: one customer of Stripe is one organization.',
  'TD032:tenantry.subscriptions:subscriptions_next_invoice_idx':
    'Closing billing periods goes over every organization, as an operator.',
  'TD032:tenantry.invoices:invoices_unpushed_idx': 'Pushing goes over every organization, as an operator.',
  'TD032:tenantry.outbox_queues:outbox_queues_due_at_idx':
    'Dispatching finds what is due over every organization, and gets ids alone.',
  'TD032:tenantry.outbox:outbox_occurred_at_idx': 'Pruning goes over every organization, as an operator.',
};
