-- Rows that nothing tells apart: a log, and one that is the same twice.
create table shops (id bigint primary key, name text not null);
create table visits (shop_id bigint not null references shops, page text not null);
create table visit_marks (shop_id bigint references shops, mark text);
insert into shops select n, 'Shop ' || n from generate_series(1, 5) n;
insert into visits select 1 + n % 5, '/p' || n % 3 from generate_series(1, 200) n;
insert into visit_marks select case when n % 7 > 0 then 1 + n % 5 end, 'same' from generate_series(1, 100) n;
