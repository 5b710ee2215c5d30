-- Removes every key: what called with one is refused from then on.

drop trigger publish_keys on tenantry.organizations;
drop trigger publish_keys on tenantry.namespaces;
delete from tenantry.api_keys; -- takes their principals along
drop view tenantry.api_key_answers;
drop table tenantry.api_key_lookups, tenantry.api_key_uses, tenantry.api_key_secrets, tenantry.api_key_acl, tenantry.api_keys;
drop function tenantry.guard_api_key();
drop function tenantry.caller_keys(boolean);
drop function tenantry.key_permissions();
drop function tenantry.request_principals(uuid, uuid, uuid);
drop function tenantry.revoke_leaked_api_key(uuid, uuid, bytea[], text, jsonb);
drop function tenantry.touch_api_keys(uuid[], uuid[], double precision[]);
drop function tenantry.rehash_api_key(uuid, uuid, bytea, text, text, bytea, integer);
drop function tenantry.find_imported_api_keys(text[]);
drop function tenantry.find_api_key(text);
drop function tenantry.find_api_keys(text[]);
drop function tenantry.notify_api_keys();
drop function tenantry.publish_keys_of();
drop function tenantry.publish_changed_keys();
drop function tenantry.publish_api_keys(uuid, uuid[]);
drop function tenantry.valid_key_permissions(text, text[]);
