-- By range with a default partition, by hash below that, a child of a partitioned table, and one partitioned by its tenant.
create table sites (id int primary key, name text not null);
create table sensors (id int primary key, site_id int not null references sites);
create table readings (
  sensor_id int not null references sensors, at date not null, no int not null, value int, primary key (sensor_id, at, no)
) partition by range (at);
create table readings_2025 partition of readings for values from ('2025-01-01') to ('2026-01-01') partition by hash (sensor_id);
create table readings_2025_0 partition of readings_2025 for values with (modulus 2, remainder 0);
create table readings_2025_1 partition of readings_2025 for values with (modulus 2, remainder 1);
create table readings_2026 partition of readings for values from ('2026-01-01') to ('2027-01-01');
create table readings_rest partition of readings default;
create table alarms (
  id int primary key, sensor_id int not null, at date not null, no int not null,
  foreign key (sensor_id, at, no) references readings (sensor_id, at, no)
);
create table costs (site_id int not null references sites, id int not null, amount int, primary key (site_id, id)) partition by hash (site_id);
create table costs_0 partition of costs for values with (modulus 2, remainder 0);
create table costs_1 partition of costs for values with (modulus 2, remainder 1);
insert into sites select n, 'Site ' || n from generate_series(1, 4) n;
insert into sensors select n, 1 + n % 4 from generate_series(1, 20) n;
insert into readings select 1 + n % 20, '2024-11-01'::date + n * 4, n, n from generate_series(1, 250) n;
insert into alarms select no, sensor_id, at, no from readings where no % 5 = 0;
insert into costs select 1 + n % 4, n, n from generate_series(1, 60) n;
