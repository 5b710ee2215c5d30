-- The root's key has two columns of two types; below it keys are text, uuid, bigint, numeric and dates.
create table franchises (country char(2) not null, no smallint not null, title text not null, primary key (country, no));
create table kitchens (id uuid primary key, country char(2) not null, franchise_no smallint not null, foreign key (country, franchise_no) references franchises);
create table menus (code varchar(12) primary key, kitchen_id uuid not null references kitchens);
create table dishes (id bigint primary key, menu varchar(12) not null references menus (code));
create table prices (amount numeric(8, 2) not null, day date not null, dish_id bigint not null references dishes, primary key (day, amount));
create table receipts (id int primary key, price_day date not null, price_amount numeric(8, 2) not null, foreign key (price_day, price_amount) references prices);
insert into franchises select c, n, c || ' ' || n from unnest(array['at', 'de']) c, generate_series(1, 2) n;
insert into kitchens select ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, (array['at', 'de'])[1 + n % 2], 1 + n / 2 % 2 from generate_series(1, 12) n;
insert into menus select 'menu-' || row_number() over (order by id), id from kitchens;
insert into dishes select n, 'menu-' || 1 + n % 12 from generate_series(1, 48) n;
insert into prices select n + 0.5, '2026-01-01'::date + n, n from generate_series(1, 48) n;
insert into receipts select n, '2026-01-01'::date + 1 + n % 48, 1 + n % 48 + 0.5 from generate_series(1, 96) n;
