-- Tables of an extension beside the host's: not its to change. The test makes spatial_notes a member of one.
create table cities (id int primary key, name text not null);
create table streets (id int primary key, city_id int not null references cities);
create table spatial_notes (id int primary key, city_id int not null);
insert into cities select n, 'City ' || n from generate_series(1, 3) n;
insert into streets select n, 1 + n % 3 from generate_series(1, 60) n;
insert into spatial_notes select n, 1 + n % 3 from generate_series(1, 30) n;
