-- Removes secrets, OAuth tokens and the keys they are encrypted with. What was connected stays granted at the providers:
-- disconnect first what must not.

drop table tenantry.vault_rotations, tenantry.oauth_revocations, tenantry.oauth_states, tenantry.oauth_tokens, tenantry.oauth_providers,
  tenantry.secret_versions, tenantry.secrets, tenantry.data_keys;
drop function tenantry.caller_secrets(text, text), tenantry.oauth_state_tenant(bytea), tenantry.prune_secret_versions(), tenantry.sync_gmail_connected();
