-- Removes the state of adoption. An adoption that is still open must be undone first: its triggers call these functions.

set local role tenantry_owner;
do $$
begin
  if exists (select from tenantry.adoption_runs where status = 'open') then
    raise exception 'an adoption is open' using hint = 'Run: tenantry adopt undo', errcode = '55000';
  end if;
end $$;
delete from tenantry.legacy_logins; -- its trigger empties legacy_tenant()
drop function tenantry.legacy_login_names();
drop table tenantry.legacy_logins;
drop function tenantry.write_legacy_tenant();
drop function tenantry.adoption_quarantine();
drop function tenantry.adoption_shared();
drop function tenantry.adoption_underway();
drop function tenantry.adoption_drift();
drop table tenantry.adoption_accepted;
drop function tenantry.adopt_organization(text, text);
drop table tenantry.adoption_hooks;
drop table tenantry.adoption_duplicates;
drop table tenantry.adoption_released;
drop table tenantry.adoption_organizations;
drop view tenantry.adoption_progress;
drop view tenantry.adoption_status;
drop table tenantry.adoption_steps;
drop table tenantry.adoption_runs;
reset role;
