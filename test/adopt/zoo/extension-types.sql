-- Keys of a type that an extension brings: a key and its reference are equal and not the same text.
create extension citext;
create table brands (name citext primary key);
create table articles (sku citext primary key, brand citext not null references brands);
create table labels (id int primary key, article_sku citext not null);
insert into brands select 'Brand ' || n from generate_series(1, 3) n;
insert into articles select 'sku-' || n, upper('brand ' || 1 + n % 3) from generate_series(1, 30) n;
insert into labels select n, 'SKU-' || n from generate_series(1, 30) n;
