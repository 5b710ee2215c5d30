-- Names that only quotes make legal, and words that SQL keeps for itself.
create table "User Group" ("ID" int primary key, "Display Name" text not null);
create table "user" ("select" int primary key, "group" int not null references "User Group");
create table "Order" ("ID" int primary key, "user" int not null references "user");
create table "order" (id int primary key, "Order" int not null references "Order" on delete cascade);
create table "semi;colon""quote" ("a.b" int primary key, "from ($body$)" int not null references "order");
create table "Überweisung" ("größe" int primary key, "OrderID" int not null);
insert into "User Group" select n, 'G' || n from generate_series(1, 3) n;
insert into "user" select n, 1 + n % 3 from generate_series(1, 30) n;
insert into "Order" select n, 1 + (n - 1) % 30 from generate_series(1, 60) n;
insert into "order" select n, 1 + (n - 1) % 60 from generate_series(1, 60) n;
insert into "semi;colon""quote" select n, n from generate_series(1, 60) n;
insert into "Überweisung" select n, n from generate_series(1, 60) n;
