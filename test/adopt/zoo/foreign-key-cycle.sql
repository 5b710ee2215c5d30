-- Two tables that each refer to the other, and a circle of three on the way to the root.
create table companies (id int primary key, title text not null);
create table departments (id int primary key, company_id int not null references companies, head_id int);
create table people (id int primary key, department_id int not null references departments);
alter table departments add foreign key (head_id) references people;
create table plans (id int primary key, person_id int not null references people, current_step int);
create table steps (id int primary key, plan_id int not null references plans, done_by int);
create table reviews (id int primary key, step_id int not null references steps, plan_id int references plans);
alter table plans add foreign key (current_step) references steps;
alter table steps add foreign key (done_by) references reviews;
insert into companies select n, 'Company ' || n from generate_series(1, 3) n;
insert into departments select n, 1 + n % 3 from generate_series(1, 9) n;
insert into people select n, 1 + n % 9 from generate_series(1, 60) n;
update departments d set head_id = (select min(p.id) from people p where p.department_id = d.id);
insert into plans select n, n from generate_series(1, 60) n;
insert into steps select n, 1 + n % 60 from generate_series(1, 120) n;
update plans p set current_step = (select min(s.id) from steps s where s.plan_id = p.id);
insert into reviews select n, n, 1 + n % 60 from generate_series(1, 120) n;
update steps s set done_by = id where id % 2 = 0;
