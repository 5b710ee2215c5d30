-- owner_type says which table owner_id means: one integer, one as text beside a uuid, and values that mean no table.
create table accounts (id bigint primary key, name text not null);
create table customers (id bigint primary key, account_id bigint not null references accounts);
create table orders (id bigint primary key, customer_id bigint not null references customers);
create table documents (id uuid primary key, account_id bigint not null references accounts);
create table comments (id bigint generated always as identity primary key, commentable_type text not null, commentable_id bigint not null, body text);
create table attachments (id bigint generated always as identity primary key, owner_type varchar(40), owner_id varchar(40), file text not null);
create index on comments (commentable_type, commentable_id);
insert into accounts select n, 'Account ' || n from generate_series(1, 4) n;
insert into customers select n, 1 + n % 4 from generate_series(1, 40) n;
-- their ids run into each other's, and an order is never of the account of the customer with its id
insert into orders select n, 1 + (n + 6) % 40 from generate_series(1, 80) n;
insert into documents select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 1 + n % 4 from generate_series(1, 20) n;
insert into comments (commentable_type, commentable_id, body)
  select (array['Order', 'Customer'])[1 + n % 2], case n % 2 when 0 then 1 + (n - 1) % 80 else 1 + (n - 1) % 40 end, 'c' from generate_series(1, 120) n;
insert into attachments (owner_type, owner_id, file)
  select 'App\Models\Order', (1 + (n - 1) % 80)::text, 'f' from generate_series(1, 60) n union all
  select 'App\Models\Document', d.id::text, 'f' from documents d union all select null, null, 'nobody''s';
