-- Two tables of an application, as it would make them; the suite then protects them as an adopter would.
create table public.notebooks (
  tenant_id uuid not null,
  id uuid not null,
  title text not null,
  primary key (tenant_id, id)
);
create table public.notes (
  tenant_id uuid not null,
  id uuid not null,
  notebook_id uuid not null,
  body text not null,
  primary key (tenant_id, id),
  constraint notes_id_key unique (id),
  foreign key (tenant_id, notebook_id) references public.notebooks (tenant_id, id)
);
create index notes_notebook_id_idx on public.notes (tenant_id, notebook_id);
