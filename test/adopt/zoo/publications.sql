-- Tables that are sent on: whole, with chosen columns and rows, and without a key to tell rows apart.
create table shops (id int primary key, name text not null);
create table orders (id int primary key, shop_id int not null references shops, total int not null);
create table order_log (order_id int not null references orders, what text not null);
alter table order_log replica identity full;
insert into shops select n, 'Shop ' || n from generate_series(1, 3) n;
insert into orders select n, 1 + n % 3, n from generate_series(1, 60) n;
insert into order_log select 1 + (n - 1) % 60, 'x' from generate_series(1, 120) n;
create publication everything for table shops, order_log;
create publication some_orders for table orders (id, total) where (id > 10);
