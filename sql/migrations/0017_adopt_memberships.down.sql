-- Removes what follows old memberships. An adoption that is still open must be undone first: its triggers call these functions.

set local role tenantry_owner;
do $$
begin
  if exists (select from tenantry.adoption_runs where status = 'open') then
    raise exception 'an adoption is open' using hint = 'Run: tenantry adopt undo', errcode = '55000';
  end if;
end $$;
drop trigger zz_adopt_members on tenantry.organizations;
drop function tenantry.adopt_organization_members();
drop function tenantry.adopt_forget_members();
drop function tenantry.adopt_sync_users(text[], boolean, boolean);
drop function tenantry.adopt_sync_members(uuid[]);
drop function tenantry.adoption_missed_changes();
drop function tenantry.adopt_missed(text, text, text);
drop table tenantry.adoption_missed;
drop table tenantry.adoption_members;
drop table tenantry.adoption_user_keys;
drop table tenantry.adoption_users;
reset role;
