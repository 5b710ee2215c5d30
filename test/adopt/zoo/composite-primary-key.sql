-- Keys of several columns, that refer to each other, and one that holds its parent's whole key.
create table merchants (code text primary key, name text not null);
create table warehouses (merchant text not null references merchants, no int not null, primary key (merchant, no));
create table shelves (
  merchant text not null, warehouse int not null, shelf int not null,
  primary key (merchant, warehouse, shelf), foreign key (merchant, warehouse) references warehouses (merchant, no)
);
create table counts (
  merchant text not null, warehouse int not null, shelf int not null, day date not null, pieces int not null,
  primary key (merchant, warehouse, shelf, day),
  foreign key (merchant, warehouse, shelf) references shelves (merchant, warehouse, shelf) on update cascade
);
insert into merchants select 'm' || n, 'Merchant ' || n from generate_series(1, 4) n;
insert into warehouses select code, n from merchants, generate_series(1, 3) n;
insert into shelves select merchant, no, n from warehouses, generate_series(1, 4) n;
insert into counts select merchant, warehouse, shelf, '2026-01-01'::date + n, n from shelves, generate_series(1, 4) n;
