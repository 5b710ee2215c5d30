-- Takes back the function that doctor's checks read; no data is lost.

drop function tenantry.protected_tables();
