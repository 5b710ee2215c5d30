-- No constraint, and rows whose parent went long ago.
create table stores (id int primary key, name text not null);
create table orders (id int primary key, store_id int not null references stores);
create table order_notes (id int primary key, order_id int, body text);
insert into stores select n, 'Store ' || n from generate_series(1, 4) n;
insert into orders select n, 1 + n % 4 from generate_series(1, 40) n;
insert into order_notes select n, 1 + (n - 1) % 40, 'n' from generate_series(1, 120) n;
delete from orders where id in (7, 19);
