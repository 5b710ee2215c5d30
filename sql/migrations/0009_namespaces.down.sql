-- Removes namespaces and end users. What end users own in tenantry.resources stops this with an error.

drop policy tenantry_access_acl_update on tenantry.organizations;
drop view tenantry.accounts;
delete from tenantry.end_users; -- takes their principals along
drop table tenantry.directory_acl, tenantry.end_users;
alter table tenantry.organizations drop column default_namespace_id, drop column allowed_namespaces;
drop table tenantry.namespaces;
drop function tenantry.organization_owner(uuid);
drop function tenantry.namespace_usable(uuid, uuid);
drop function tenantry.end_users_may(text);
drop function tenantry.current_end_user();
drop function tenantry.hidden_namespaces();
drop function tenantry.caller_acl(boolean);
drop function tenantry.current_namespace();
drop function tenantry.set_first_namespace();
drop function tenantry.valid_limits(jsonb);
