-- Trees: one whose rows all name their tenant, and one whose top alone does.
create table teams (id int primary key, name text not null);
create table employees (
  id int primary key, team_id int not null references teams, boss_id int references employees
);
create table folders (
  id int primary key, team_id int references teams, parent_id int references folders,
  check ((team_id is null) <> (parent_id is null))
);
create table files (id int primary key, folder_id int not null references folders);
insert into teams select n, 'Team ' || n from generate_series(1, 4) n;
insert into employees select n, 1 + n % 4, case when n > 4 then n - 4 end from generate_series(1, 80) n;
-- the deepest folders stand first in the table, so that no pass from front to back finds their parents done
alter table folders drop constraint folders_parent_id_fkey;
insert into folders select n, case when n <= 4 then n end, case when n > 4 then n - 4 end from generate_series(60, 1, -1) n;
alter table folders add constraint folders_parent_id_fkey foreign key (parent_id) references folders;
insert into files select n, 1 + n % 60 from generate_series(1, 120) n;
