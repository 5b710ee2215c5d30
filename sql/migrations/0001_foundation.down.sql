-- Removes the schema, and the roles as far as no other database of the cluster uses them.
-- Host tables that tenantry_owner still owns stop this with an error: run `tenantry adopt undo` or `tenantry isolation off --restore-owner` first.

set local role tenantry_owner;
alter default privileges grant execute on functions to public;
drop function tenantry.touch_updated_at();
drop function tenantry.current_user_id();
drop function tenantry.context_tenant_key();
drop function tenantry.current_tenant_key();
drop function tenantry.context_tenant();
drop function tenantry.current_tenant();
drop function tenantry.missing_tenant();
drop function tenantry.legacy_tenant();
drop function tenantry.uuidv7();
drop table tenantry.migrations;
drop schema tenantry;
reset role;

do $$
declare
  role_name text;
begin
  foreach role_name in array array['tenantry_operator', 'tenantry_app', 'tenantry_owner'] loop
    begin
      execute format('drop role if exists %I', role_name);
    exception when dependent_objects_still_exist or insufficient_privilege then
      raise notice 'role % is still in use and stays', role_name;
    end;
  end loop;
end $$;
