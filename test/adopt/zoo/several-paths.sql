-- Four ways from a line to its shop, all to the same one.
create table shops (id int primary key, name text not null);
create table customers (id int primary key, shop_id int not null references shops);
create table products (id int primary key, shop_id int not null references shops);
create table orders (id int primary key, shop_id int not null references shops, customer_id int not null references customers);
create table lines (
  id int primary key, order_id int not null references orders, product_id int not null references products,
  gift_for int references customers
);
insert into shops select n, 'Shop ' || n from generate_series(1, 4) n;
insert into customers select n, 1 + n % 4 from generate_series(1, 40) n;
insert into products select n, 1 + n % 4 from generate_series(1, 40) n;
insert into orders select n, 1 + n % 4, 1 + (n - 1) % 40 from generate_series(1, 80) n;
insert into lines select n, 1 + (n - 1) % 80, 1 + (n - 1) % 40, case when n % 2 = 0 then 1 + (n - 1) % 40 end from generate_series(1, 160) n;
