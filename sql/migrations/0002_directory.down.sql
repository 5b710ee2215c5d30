-- Removes the directory with everything in it. Host tables that refer to tenantry.organizations stop this with an error.

drop view tenantry.user_tenants, tenantry.tenants, tenantry.org_users;
drop table tenantry.sync_state, tenantry.workspaces, tenantry.principals, tenantry.invitations,
  tenantry.team_members, tenantry.teams, tenantry.org_members, tenantry.roles, tenantry.organizations, tenantry.users, tenantry.system_roles;
drop function tenantry.drop_personal_organizations();
drop function tenantry.keep_last_admin();
drop function tenantry.guard_role();
drop function tenantry.set_workspace_editor();
drop function tenantry.sync_principal();
drop function tenantry.complete_organization();
drop function tenantry.set_organization_key();
drop function tenantry.accept_invitation(bytea);
drop function tenantry.ensure_user(text, text);
drop function tenantry.invitation_by_token(bytea);
drop function tenantry.user_id_by_email(text);
drop function tenantry.organization_id_by_domain(text);
drop function tenantry.organization_id_by_key(text);
drop function tenantry.organization_id_by_slug(text);
drop function tenantry.caller_email();
drop function tenantry.caller_can_give(text[]);
drop function tenantry.caller_can(text);
drop function tenantry.caller_permissions();
drop function tenantry.current_principal_id();
drop function tenantry.caller_principals();
drop function tenantry.caller_organizations();
drop function tenantry.user_organizations();
