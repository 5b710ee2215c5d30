-- An application that checks references itself and declares none: several ways to write a name, and types that differ.
create table accounts (id bigint primary key, name text not null, code text not null unique);
create table users (id bigint primary key, account_id bigint not null, email text);
create table orders (id bigint primary key, "accountId" integer not null, buyer_user_id bigint);
create table order_items (id bigint primary key, order_id varchar(20) not null, quantity int not null);
create table invoices (id bigint primary key, account text not null, account_code text not null);
create table categories (id int primary key, parent_id int, account_id bigint not null);
-- named alike and something else: none of its values is an account
create table meters (id bigint primary key, user_id bigint not null, account_key bigint not null);
insert into accounts select n, 'Account ' || n, 'A' || n from generate_series(1, 5) n;
insert into users select n, 1 + n % 5, 'u' from generate_series(1, 50) n;
insert into orders select n, 1 + n % 5, 1 + (n - 1) % 50 from generate_series(1, 100) n;
insert into order_items select n, (1 + (n - 1) % 100)::text, n from generate_series(1, 200) n;
insert into invoices select n, (1 + n % 5)::text, 'A' || 1 + n % 5 from generate_series(1, 50) n;
insert into categories select n, case when n > 5 then n - 5 end, 1 + n % 5 from generate_series(1, 30) n;
insert into meters select n, 1 + (n - 1) % 50, 100000 + n from generate_series(1, 60) n;
