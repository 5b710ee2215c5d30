-- The same table name in three schemas, a name that the system has too, and keys from one to the other.
create schema sales;
create schema "Support";
create table public.tenants (id int primary key, name text not null);
create table sales.accounts (id int primary key, tenant_id_no int not null references public.tenants);
create table "Support".accounts (id int primary key, sales_account int not null references sales.accounts);
create table public.accounts (id int primary key, support_account int not null references "Support".accounts);
create table sales.pg_class (oid int primary key, account_id int not null references sales.accounts);
insert into public.tenants select n, 'T' || n from generate_series(1, 3) n;
insert into sales.accounts select n, 1 + n % 3 from generate_series(1, 30) n;
insert into "Support".accounts select n, 31 - n from generate_series(1, 30) n;
insert into public.accounts select n, 1 + n % 30 from generate_series(1, 60) n;
insert into sales.pg_class select n, n from generate_series(1, 30) n;
