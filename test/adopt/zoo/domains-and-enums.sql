-- Keys of a domain, of a domain over a domain, and of an enum; a discriminator that is an enum.
create domain tenant_code as text check (value ~ '^[A-Z]{2}$');
create domain small_code as tenant_code not null;
create type region as enum ('north', 'south', 'east');
create type subject as enum ('branch', 'desk');
create table branches (code tenant_code primary key, name text);
create table desks (region region not null, no int not null, branch small_code references branches, primary key (region, no));
create table bookings (id int primary key, desk_region region not null, desk_no int not null, foreign key (desk_region, desk_no) references desks);
create table remarks (id int primary key, about_type subject not null, about_id text not null);
insert into branches values ('AA', 'a'), ('BB', 'b'), ('CC', 'c');
insert into desks select r, n, (array['AA', 'BB', 'CC'])[1 + n % 3] from unnest(enum_range(null::region)) r, generate_series(1, 6) n;
insert into bookings select n, (enum_range(null::region))[1 + n % 3], 1 + n % 6 from generate_series(1, 90) n;
insert into remarks select n, 'branch', (array['AA', 'BB', 'CC'])[1 + n % 3] from generate_series(1, 30) n;
