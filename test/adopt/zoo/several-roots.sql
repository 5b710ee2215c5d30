-- Three tables that could each be the tenant: the account, the country it is in, and the user who signs in.
create table countries (code char(2) primary key, name text not null);
create table accounts (id int primary key, country char(2) not null references countries, name text not null);
create table users (id int primary key, account_id int not null references accounts, email text not null unique);
create table projects (id int primary key, account_id int not null references accounts, owner_id int references users);
create table tasks (id int primary key, project_id int not null references projects, assignee_id int references users);
insert into countries values ('at', 'Austria'), ('de', 'Germany'), ('ch', 'Switzerland');
insert into accounts select n, (array['at', 'de', 'ch'])[1 + n % 3], 'Account ' || n from generate_series(1, 6) n;
insert into users select n, 1 + n % 6, 'u' || n || '@example.com' from generate_series(1, 36) n;
insert into projects select n, 1 + n % 6, n from generate_series(1, 36) n;
insert into tasks select n, 1 + (n - 1) % 36, 1 + (n - 1) % 36 from generate_series(1, 144) n;
