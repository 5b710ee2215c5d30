-- Keys that are checked at commit: a child may come before its parent, and a circle is written in one transaction.
create table farms (id int primary key, name text not null);
create table barns (id int primary key, farm_id int not null references farms deferrable initially deferred, first_cow int);
create table cows (id int primary key, barn_id int not null references barns deferrable initially deferred, unique (id, barn_id) deferrable initially deferred);
create table milkings (id int primary key, cow_id int not null references cows deferrable initially immediate);
alter table barns add foreign key (first_cow) references cows deferrable initially deferred;
insert into farms select n, 'Farm ' || n from generate_series(1, 3) n;
insert into barns select n, 1 + n % 3 from generate_series(1, 12) n;
insert into cows select n, 1 + n % 12 from generate_series(1, 60) n;
update barns b set first_cow = (select min(c.id) from cows c where c.barn_id = b.id);
insert into milkings select n, 1 + (n - 1) % 60 from generate_series(1, 120) n;
