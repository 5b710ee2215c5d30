-- Django's generic foreign keys: a number of the framework's own says which table object_id means, once as text and once as a number.
create table shop_company (id bigint primary key, name text not null);
create table shop_order (id bigint primary key, company_id bigint not null references shop_company);
create table invoices (id bigint primary key, company_id bigint not null references shop_company);
create table django_content_type (id integer primary key, app_label varchar(100) not null, model varchar(100) not null, unique (app_label, model));
create table tagging_tag (id bigint primary key, content_type_id integer not null references django_content_type, object_id bigint not null, word text);
create table django_admin_log (id bigint primary key, content_type_id integer references django_content_type, object_id text, action text);
insert into shop_company select n, 'Company ' || n from generate_series(1, 3) n;
insert into shop_order select n, 1 + n % 3 from generate_series(1, 30) n;
insert into invoices select n, 1 + (n + 1) % 3 from generate_series(1, 30) n;
insert into django_content_type values (1, 'admin', 'logentry'), (7, 'shop', 'order'), (8, 'shop', 'invoice'), (9, 'sites', 'site');
insert into tagging_tag select n, 7 + n % 2, 1 + n % 30, 't' from generate_series(1, 60) n;
insert into django_admin_log select n, 7 + n % 2, (1 + n % 30)::text, 'added' from generate_series(1, 40) n;
