-- INHERITS: children have the columns and neither the foreign keys nor the triggers; their ids may repeat the parent's.
create table companies (id int primary key, name text not null);
create table vehicles (id int primary key, company_id int not null references companies, plate text);
create table trucks (tons int, primary key (id)) inherits (vehicles);
create table tank_trucks (litres int, primary key (id)) inherits (trucks);
create table bikes (gears int, frame_no serial, primary key (id), foreign key (company_id) references companies) inherits (vehicles);
create table trips (id int primary key, vehicle_id int not null references vehicles);
insert into companies select n, 'Company ' || n from generate_series(1, 4) n;
insert into vehicles select n, 1 + n % 4, 'v' from generate_series(1, 40) n;
insert into trucks select n, 1 + (n + 1) % 4, 't', 7 from generate_series(1, 40) n;
insert into tank_trucks select n, 1 + (n + 2) % 4, 'tt', 7, 900 from generate_series(1, 20) n;
insert into bikes select n, 1 + (n + 3) % 4, 'b', 21 from generate_series(1, 20) n;
insert into trips select n, 1 + (n - 1) % 40 from generate_series(1, 80) n;
