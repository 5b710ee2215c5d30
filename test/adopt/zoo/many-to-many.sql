-- Tables that join two others: with a key of both, with one of its own, and one that joins a tenant's table with a shared one.
create table schools (id int primary key, name text not null);
create table pupils (id int primary key, school_id int not null references schools);
create table courses (id int primary key, school_id int not null references schools);
create table languages (code text primary key);
create table enrolments (pupil_id int references pupils on delete cascade, course_id int references courses, primary key (pupil_id, course_id));
create table grades (id int primary key, pupil_id int not null references pupils, course_id int not null references courses, grade int, unique (pupil_id, course_id));
create table pupil_languages (pupil_id int references pupils, language text references languages, primary key (pupil_id, language));
insert into schools select n, 'School ' || n from generate_series(1, 3) n;
insert into pupils select n, 1 + n % 3 from generate_series(1, 30) n;
insert into courses select n, 1 + n % 3 from generate_series(1, 9) n;
insert into languages values ('de'), ('en'), ('fr');
insert into enrolments select p.id, c.id from pupils p join courses c using (school_id);
insert into grades select row_number() over (), pupil_id, course_id, 1 from enrolments;
insert into pupil_languages select p.id, l.code from pupils p, languages l;
