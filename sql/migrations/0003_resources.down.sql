-- Removes resources, grants, prompts and the catalog with everything in them.

drop trigger workspace_resources on tenantry.workspaces;
drop function tenantry.newest_resources(text, timestamptz, uuid, integer);
drop table tenantry.catalog_items, tenantry.catalog_global_items, tenantry.prompts, tenantry.resource_visible, tenantry.resource_acl,
  tenantry.resources, tenantry.resource_types;
drop function tenantry.list_shape(text, integer, boolean);
drop function tenantry.set_catalog_level();
drop function tenantry.touch_resource();
drop function tenantry.guard_resource_sharing();
drop function tenantry.list_visible();
drop function tenantry.refresh_workspace_resources();
drop function tenantry.refresh_resource_access();
drop function tenantry.set_resource_access();
drop function tenantry.resource_access(uuid, uuid, uuid, uuid, text);
