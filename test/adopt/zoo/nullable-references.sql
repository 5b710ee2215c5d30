-- Ways that some rows do not have: one of two is enough, both may be missing, and a chain over such a row.
create table clubs (id int primary key, name text not null);
create table members (id int primary key, club_id int not null references clubs);
create table events (id int primary key, club_id int references clubs on delete set null);
create table notes (id int primary key, member_id int references members, event_id int references events on delete set null);
create table note_reads (id int primary key, note_id int not null references notes);
insert into clubs select n, 'Club ' || n from generate_series(1, 3) n;
insert into members select n, 1 + n % 3 from generate_series(1, 30) n;
insert into events select n, case when n % 5 > 0 then 1 + n % 3 end from generate_series(1, 30) n;
insert into notes select n, case when n % 2 = 0 then 1 + (n - 1) % 30 end, case when n % 3 = 0 then 1 + (n - 1) % 30 end from generate_series(1, 90) n;
insert into note_reads select n, 1 + (n - 1) % 90 from generate_series(1, 180) n;
