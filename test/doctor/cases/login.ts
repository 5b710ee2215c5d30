import { type CheckCase } from './setup.ts';

/** Flaws of who asks: the login, its roles and settings. */
export const loginCases: readonly CheckCase[] = [
  {
    code: 'TD001',
    keys: [':login:bypassrls', ':login:createrole', ':login:replication'],
    superuser: true,
    broken: 'alter role :login bypassrls createrole replication',
    fixed: 'alter role :login nobypassrls nocreaterole noreplication',
  },
  {
    code: 'TD001',
    keys: [':login:superuser'],
    superuser: true,
    broken: 'alter role :login superuser',
    fixed: 'alter role :login nosuperuser',
  },
  {
    code: 'TD002',
    keys: [':login:tenantry_owner'],
    superuser: true,
    broken: 'grant tenantry_owner to :login',
    fixed: 'revoke tenantry_owner from :login',
  },
  {
    code: 'TD002',
    keys: [':login:doctor_power_:suffix'],
    superuser: true,
    setup: 'create role doctor_middle_:suffix; create role doctor_power_:suffix bypassrls',
    broken: 'grant doctor_power_:suffix to doctor_middle_:suffix; grant doctor_middle_:suffix to :login',
    fixed: 'revoke doctor_power_:suffix from doctor_middle_:suffix',
    cleanup: 'drop role doctor_middle_:suffix; drop role doctor_power_:suffix',
  },
  {
    code: 'TD003',
    keys: [':login:pg_execute_server_program', ':login:pg_read_all_data'],
    superuser: true,
    broken: 'grant pg_read_all_data, pg_execute_server_program to :login',
    fixed: 'revoke pg_read_all_data, pg_execute_server_program from :login',
  },
  {
    // not inherited, but entered with SET ROLE
    code: 'TD003',
    keys: [':login:pg_read_all_data'],
    superuser: true,
    setup: 'alter role :login noinherit; grant usage on schema tenantry to :login',
    broken: 'grant pg_read_all_data to :login',
    fixed: 'revoke pg_read_all_data from :login',
  },
  {
    code: 'TD004',
    keys: ['public.orders'],
    superuser: true,
    broken: 'alter table public.orders owner to :login',
    fixed: 'alter table public.orders owner to tenantry_owner',
  },
  {
    code: 'TD036',
    keys: [
      ':login:everywhere:app.tenant_id',
      'session:app.tenant_id',
      ':login:here:row_security',
      'database:here:search_path',
    ],
    superuser: true,
    broken: `alter role :login set app.tenant_id = '00000000-0000-7000-8000-000000000001';
      alter role :login in database :database set row_security = off;
      alter database :database set search_path = public, pg_catalog`,
    fixed: 'statement',
  },
  {
    code: 'TD040',
    keys: [':database'],
    broken: 'grant temporary on database :database to tenantry_app',
    fixed: 'revoke temporary on database :database from tenantry_app',
  },
  {
    code: 'TD041',
    keys: ['public', 'tenantry'],
    superuser: true,
    broken: 'grant create on schema public to :login; grant create on schema tenantry to tenantry_app',
    fixed: 'revoke create on schema public from :login; revoke create on schema tenantry from tenantry_app',
  },
  {
    code: 'TD043',
    keys: ['tenantry_owner:public:public', 'tenantry_admin:*:tenantry_app'],
    broken: `alter default privileges for role tenantry_owner in schema public grant select on tables to public;
      alter default privileges for role tenantry_admin grant all on tables to tenantry_app`,
    fixed: 'statement',
  },
  {
    code: 'TD044',
    keys: [':login:pg_read_all_stats'],
    superuser: true,
    broken: 'grant pg_read_all_stats to :login',
    fixed: 'revoke pg_read_all_stats from :login',
  },
  {
    code: 'TD045',
    keys: ['doctor_owner_:suffix'],
    superuser: true,
    broken: 'create role doctor_owner_:suffix login; alter table public.orders owner to doctor_owner_:suffix',
    fixed: 'alter role doctor_owner_:suffix nologin',
    cleanup: 'reassign owned by doctor_owner_:suffix to tenantry_owner; drop role doctor_owner_:suffix',
  },
  {
    code: 'TD046',
    keys: ['current_tenant'],
    broken: `create or replace function tenantry.current_tenant() returns uuid language sql stable as
      $$ select '00000000-0000-7000-8000-000000000001'::uuid $$`,
    fixed: `create or replace function tenantry.current_tenant() returns uuid language plpgsql stable parallel safe cost 100 as
      $$ begin return pg_catalog.current_setting('app.tenant_id', true)::pg_catalog.uuid; end $$`,
  },
  {
    code: 'TD047',
    keys: ['doctor_job_:suffix'],
    superuser: true,
    broken: 'create role doctor_job_:suffix login; grant select on public.orders to doctor_job_:suffix',
    fixed: 'grant tenantry_app to doctor_job_:suffix',
    cleanup: 'drop owned by doctor_job_:suffix; drop role doctor_job_:suffix',
  },
  {
    code: 'TD049',
    keys: ['public.dblink(text)', 'public.dblink_connect(text)'],
    superuser: true,
    broken: 'create extension dblink',
    fixed: `do $$ declare f regprocedure; begin
        for f in select objid::regprocedure from pg_depend d join pg_extension e on e.oid = d.refobjid
          where e.extname = 'dblink' and d.classid = 'pg_proc'::regclass and d.deptype = 'e' loop
          execute format('revoke execute on function %s from public', f);
        end loop;
      end $$`,
  },
  {
    code: 'TD057',
    keys: ['undeclared:doctor_legacy_:suffix'],
    superuser: true,
    setup: 'create role doctor_legacy_:suffix login',
    broken: `alter role doctor_legacy_:suffix in database :database set app.tenant_id = '00000000-0000-7000-8000-000000000001'`,
    fixed: 'alter role doctor_legacy_:suffix in database :database reset app.tenant_id',
    cleanup: 'drop role doctor_legacy_:suffix',
  },
  {
    // declared and plain: accepted; TD047 is silent about it too
    code: 'TD057',
    keys: ['powerful:doctor_legacy_:suffix'],
    superuser: true,
    setup: `create role doctor_legacy_:suffix login; grant select on public.orders to doctor_legacy_:suffix;
      insert into tenantry.organizations (name, slug) values ('Legacy', 'legacy');
      insert into tenantry.legacy_logins (login, tenant_id) select 'doctor_legacy_:suffix', id from tenantry.organizations where slug = 'legacy'`,
    broken: 'alter role doctor_legacy_:suffix bypassrls',
    fixed: 'alter role doctor_legacy_:suffix nobypassrls',
    silent: ['TD047'],
    cleanup: 'drop owned by doctor_legacy_:suffix; drop role doctor_legacy_:suffix',
  },
  {
    code: 'TD057',
    keys: ['gone:doctor_gone_:suffix'],
    setup: `insert into tenantry.organizations (name, slug) values ('Gone', 'gone')`,
    broken: `insert into tenantry.legacy_logins (login, tenant_id) select 'doctor_gone_:suffix', id from tenantry.organizations where slug = 'gone'`,
    fixed: `delete from tenantry.legacy_logins where login = 'doctor_gone_:suffix'`,
  },
  {
    code: 'TD057',
    keys: ['unanswered:doctor_lost_:suffix'],
    superuser: true,
    setup: `create role doctor_lost_:suffix login;
      insert into tenantry.organizations (name, slug) values ('Lost', 'lost');
      insert into tenantry.legacy_logins (login, tenant_id) select 'doctor_lost_:suffix', id from tenantry.organizations where slug = 'lost'`,
    broken: `create or replace function tenantry.legacy_tenant() returns uuid language plpgsql stable parallel safe as $$ begin return null; end $$`,
    fixed: `update tenantry.legacy_logins set declared_at = now()`,
    cleanup: 'drop role doctor_lost_:suffix',
  },
];
