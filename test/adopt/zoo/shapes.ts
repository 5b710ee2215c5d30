import type { PlanDecisions } from '../../../src/adopt/index.ts';

/** One awkward schema: how it is adopted, what must come of it, and what its old application writes meanwhile. */
export interface Shape {
  readonly name: string;
  readonly decisions: Omit<PlanDecisions, 'column'>;
  /** Class and ways of every table: `owned order_id`. */
  readonly classes: Readonly<Record<string, string>>;
  /** The organization's key of every row of every table with a tenant, derived by hand from the original data. */
  readonly model: Readonly<Record<string, string>>;
  /** Statements of the old application, run after each phase; `:n` is another number each time. */
  readonly writes: readonly string[];
  /** Statements of the runtime login as the first tenant by key, once the tables are enforced. */
  readonly allowed?: readonly string[];
  /** The same, refused: each as a row of another tenant, or one that is not there. */
  readonly refused?: readonly string[];
  /** Tables that could be the tenant. */
  readonly roots?: readonly string[];
  /** References that must be found: `from → to confidence`. */
  readonly found?: readonly string[];
}

export const shapes: readonly Shape[] = [
  {
    name: 'composite-primary-key',
    decisions: { root: 'public.merchants' },
    classes: {
      merchants: 'root',
      warehouses: 'owned merchant',
      shelves: 'owned merchant, warehouse',
      counts: 'owned merchant, warehouse, shelf',
    },
    model: {
      merchants: 'select tenant_id, code as key from merchants',
      warehouses: 'select tenant_id, merchant as key from warehouses',
      shelves: 'select tenant_id, merchant as key from shelves',
      counts: 'select tenant_id, merchant as key from counts',
    },
    writes: [
      `insert into shelves values ('m1', 2, :n)`,
      `insert into counts values ('m1', 2, :n, '2026-05-01', 1) on conflict (merchant, warehouse, shelf, day) do update set pieces = 2`,
      `update shelves set merchant = 'm2' where merchant = 'm1' and shelf = :n`,
    ],
    allowed: [`insert into shelves values ('m1', 1, 9000)`],
    refused: [`insert into shelves values ('m2', 1, 9001)`],
  },
  {
    name: 'missing-primary-key',
    decisions: { root: 'public.shops', tables: { 'public.visit_marks': { orphans: 'quarantine' } } },
    classes: { shops: 'root', visits: 'owned shop_id', visit_marks: 'owned shop_id' },
    model: {
      shops: 'select tenant_id, id::text as key from shops',
      visits: 'select tenant_id, shop_id::text as key from visits',
      visit_marks: 'select tenant_id, shop_id::text as key from visit_marks',
    },
    writes: [
      `insert into visits values (1 + :n % 5, '/new')`,
      `insert into visit_marks values (null, 'none'), (2, 'same')`,
      `update visits set shop_id = 5 where page = '/p1'`,
      `update visit_marks set shop_id = 3 where shop_id is null`,
    ],
    allowed: [`insert into visits values (1, '/tenant')`],
    refused: [`insert into visits values (2, '/tenant')`],
  },
  {
    name: 'self-reference',
    decisions: { root: 'public.teams' },
    classes: {
      teams: 'root',
      employees: 'owned team_id',
      folders: 'owned team_id|parent_id',
      files: 'owned folder_id',
    },
    model: {
      teams: 'select tenant_id, id::text as key from teams',
      employees: 'select tenant_id, team_id::text as key from employees',
      folders: `with recursive f as (select id, team_id from folders where parent_id is null union all select c.id, f.team_id from folders c join f on f.id = c.parent_id)
        select o.tenant_id, f.team_id::text as key from folders o join f using (id)`,
      files: `with recursive f as (select id, team_id from folders where parent_id is null union all select c.id, f.team_id from folders c join f on f.id = c.parent_id)
        select o.tenant_id, f.team_id::text as key from files o join f on f.id = o.folder_id`,
    },
    writes: [
      'insert into folders values (:n, null, 50), (:n + 1, 2, null)',
      'insert into folders values (:n + 2, null, :n + 1), (:n + 3, null, :n + 2)',
      'insert into files values (:n, :n + 3)',
      // a branch moves to another team, by its top and in the middle
      'update folders set team_id = 3 where id = :n + 1',
      'update folders set parent_id = 1 where id = :n + 2',
      'insert into employees values (:n, 1, 4)',
    ],
    allowed: [
      `insert into employees values (9000, 1, 4)`,
      `insert into folders values (9000, null, 1)`,
      `insert into files values (9000, 9000)`,
    ],
    refused: [
      `insert into employees values (9001, 1, 1)`,
      `insert into folders values (9001, null, 2)`,
      `insert into files values (9001, 2)`,
    ],
  },
  {
    name: 'foreign-key-cycle',
    decisions: { root: 'public.companies' },
    classes: {
      companies: 'root',
      departments: 'owned company_id',
      people: 'owned department_id',
      plans: 'owned person_id',
      steps: 'owned plan_id',
      reviews: 'owned step_id',
    },
    model: {
      companies: 'select tenant_id, id::text as key from companies',
      departments: 'select tenant_id, company_id::text as key from departments',
      people:
        'select p.tenant_id, d.company_id::text as key from people p join departments d on d.id = p.department_id',
      plans: `select t.tenant_id, d.company_id::text as key from plans t join people p on p.id = t.person_id join departments d on d.id = p.department_id`,
      steps: `select t.tenant_id, d.company_id::text as key from steps t join plans l on l.id = t.plan_id join people p on p.id = l.person_id join departments d on d.id = p.department_id`,
      reviews: `select t.tenant_id, d.company_id::text as key from reviews t join steps s on s.id = t.step_id join plans l on l.id = s.plan_id join people p on p.id = l.person_id join departments d on d.id = p.department_id`,
    },
    writes: [
      'insert into people values (:n, 4)',
      'insert into plans values (:n, :n)',
      'insert into steps values (:n, :n)',
      'update plans set current_step = :n where id = :n',
      'insert into reviews values (:n, :n, :n)',
      'update departments set head_id = :n where id = 4',
    ],
    allowed: [`insert into people values (9000, 3)`, `update departments set head_id = 9000 where id = 3`],
    refused: [`insert into people values (9001, 1)`, `update departments set head_id = 1 where id = 3`],
  },
  {
    name: 'several-paths',
    decisions: { root: 'public.shops' },
    classes: {
      shops: 'root',
      customers: 'owned shop_id',
      products: 'owned shop_id',
      orders: 'owned shop_id',
      lines: 'owned order_id',
    },
    model: {
      shops: 'select tenant_id, id::text as key from shops',
      customers: 'select tenant_id, shop_id::text as key from customers',
      products: 'select tenant_id, shop_id::text as key from products',
      orders: 'select tenant_id, shop_id::text as key from orders',
      lines: 'select l.tenant_id, p.shop_id::text as key from lines l join products p on p.id = l.product_id',
    },
    writes: [
      'insert into orders values (:n, 2, 1)',
      'insert into lines values (:n, :n, 1, 1), (:n + 1, :n, 5, null) on conflict (id) do nothing',
      'update lines set gift_for = null where id = :n',
    ],
    allowed: [`insert into lines values (9000, 4, 4, 4)`],
    refused: [`insert into lines values (9001, 4, 1, null)`, `insert into lines values (9002, 4, 4, 1)`],
  },
  {
    name: 'several-roots',
    decisions: { root: 'public.accounts', tables: { 'public.countries': { class: 'shared' } } },
    classes: {
      accounts: 'root',
      countries: 'shared',
      users: 'owned account_id',
      projects: 'owned account_id',
      tasks: 'owned project_id',
    },
    roots: ['public.accounts', 'public.countries', 'public.projects', 'public.users'],
    model: {
      accounts: 'select tenant_id, id::text as key from accounts',
      users: 'select tenant_id, account_id::text as key from users',
      projects: 'select tenant_id, account_id::text as key from projects',
      tasks: 'select t.tenant_id, p.account_id::text as key from tasks t join projects p on p.id = t.project_id',
    },
    writes: [
      `insert into accounts values (:n, 'at', 'New')`,
      `insert into users values (:n, :n, 'new' || :n)`,
      'insert into projects values (:n, :n, :n)',
      'insert into tasks values (:n, :n, null)',
      `update accounts set name = 'Newer' where id = :n`,
    ],
    allowed: [`insert into projects values (9000, 1, 6)`],
    refused: [`insert into projects values (9001, 1, 1)`],
  },
  {
    name: 'many-to-many',
    decisions: { root: 'public.schools' },
    classes: {
      schools: 'root',
      pupils: 'owned school_id',
      courses: 'owned school_id',
      languages: 'shared',
      enrolments: 'join pupil_id',
      grades: 'owned pupil_id',
      pupil_languages: 'join pupil_id',
    },
    model: {
      schools: 'select tenant_id, id::text as key from schools',
      pupils: 'select tenant_id, school_id::text as key from pupils',
      courses: 'select tenant_id, school_id::text as key from courses',
      enrolments: 'select e.tenant_id, c.school_id::text as key from enrolments e join courses c on c.id = e.course_id',
      grades: 'select e.tenant_id, c.school_id::text as key from grades e join courses c on c.id = e.course_id',
      pupil_languages:
        'select l.tenant_id, p.school_id::text as key from pupil_languages l join pupils p on p.id = l.pupil_id',
    },
    writes: [
      'insert into pupils values (:n, 2)',
      'insert into enrolments select :n, id from courses where school_id = 2 on conflict do nothing',
      `insert into pupil_languages values (:n, 'en')`,
      'insert into grades select :n, :n, min(id), 1 from courses where school_id = 2',
      'delete from grades where id = :n',
      'delete from pupil_languages where pupil_id = :n',
    ],
    allowed: [`insert into pupils values (9000, 1)`, `insert into enrolments values (9000, 3)`],
    refused: [`insert into enrolments values (9000, 1)`],
  },
  {
    name: 'polymorphic-pair',
    decisions: {
      root: 'public.accounts',
      references: [
        {
          from: 'public.comments(commentable_type, commentable_id)',
          to: { Order: 'public.orders(id)', Customer: 'public.customers(id)' },
        },
        {
          from: 'public.attachments(owner_type, owner_id)',
          to: { 'App\\Models\\Order': 'public.orders(id)', 'App\\Models\\Document': 'public.documents(id)' },
        },
      ],
      tables: { 'public.attachments': { orphans: 'quarantine' } },
    },
    classes: {
      accounts: 'root',
      customers: 'owned account_id',
      orders: 'owned customer_id',
      documents: 'owned account_id',
      comments: 'owned commentable_type, commentable_id',
      attachments: 'owned owner_type, owner_id',
    },
    found: [
      'public.attachments(owner_type, owner_id) → App\\Models\\Document: public.documents(id), App\\Models\\Order: public.orders(id) high',
      'public.comments(commentable_type, commentable_id) → Customer: public.customers(id), Order: public.orders(id) high',
    ],
    model: {
      accounts: 'select tenant_id, id::text as key from accounts',
      customers: 'select tenant_id, account_id::text as key from customers',
      orders: 'select o.tenant_id, c.account_id::text as key from orders o join customers c on c.id = o.customer_id',
      documents: 'select tenant_id, account_id::text as key from documents',
      comments: `select t.tenant_id, (case t.commentable_type
          when 'Order' then (select c.account_id from orders o join customers c on c.id = o.customer_id where o.id = t.commentable_id)
          when 'Customer' then (select c.account_id from customers c where c.id = t.commentable_id) end)::text as key from comments t`,
      attachments: `select t.tenant_id, (case when t.owner_type like '%Order'
          then (select c.account_id from orders o join customers c on c.id = o.customer_id where o.id::text = t.owner_id)
          when t.owner_type like '%Document' then (select d.account_id from documents d where d.id::text = t.owner_id) end)::text as key from attachments t`,
    },
    writes: [
      `insert into comments (commentable_type, commentable_id, body) values ('Order', 70, 'x'), ('Customer', 7, 'x')`,
      // the child first: no constraint asks for an order of things
      `begin; insert into comments (commentable_type, commentable_id, body) values ('Order', :n, 'early'); insert into orders values (:n, 3); commit`,
      `update comments set commentable_type = 'Customer', commentable_id = 9 where id = (select max(id) from comments where commentable_type = 'Order')`,
      `insert into attachments (owner_type, owner_id, file) values ('App\\Models\\Order', ' not a number', 'f')`,
      `update attachments set owner_id = '12' where owner_id = ' not a number'`,
      `update orders set customer_id = 8 where id = 70`,
      `update customers set account_id = 1 + :n % 4 where id = 8`,
    ],
    allowed: [
      `insert into orders values (9000, 4)`,
      `insert into comments (commentable_type, commentable_id, body) values ('Order', 9000, 'x')`,
      `update comments set body = 'y' where commentable_id = 9000`,
    ],
    refused: [
      // customer 4 is the tenant's, order 4 with the same id belongs to it as well, customer 5 does not
      `insert into comments (commentable_type, commentable_id, body) values ('Customer', 5, 'x')`,
      `update comments set commentable_type = 'Customer', commentable_id = 5 where commentable_id = 9000`,
    ],
  },
  {
    name: 'nullable-references',
    decisions: {
      root: 'public.clubs',
      tables: {
        'public.events': { orphans: 'quarantine' },
        'public.notes': { orphans: 'quarantine' },
        'public.note_reads': { orphans: 'quarantine' },
      },
    },
    classes: {
      clubs: 'root',
      members: 'owned club_id',
      events: 'owned club_id',
      notes: 'owned member_id|event_id',
      note_reads: 'owned note_id',
    },
    model: {
      clubs: 'select tenant_id, id::text as key from clubs',
      members: 'select tenant_id, club_id::text as key from members',
      events: 'select tenant_id, club_id::text as key from events',
      notes: `select n.tenant_id, coalesce(m.club_id, e.club_id)::text as key from notes n left join members m on m.id = n.member_id left join events e on e.id = n.event_id`,
      note_reads: `select r.tenant_id, coalesce(m.club_id, e.club_id)::text as key from note_reads r join notes n on n.id = r.note_id left join members m on m.id = n.member_id left join events e on e.id = n.event_id`,
    },
    writes: [
      'insert into notes values (:n, null, null)',
      'insert into note_reads values (:n, :n)',
      'update notes set member_id = 4 where id = :n',
      'insert into events values (:n, null)',
      'insert into notes values (:n + 1, null, :n)',
      'update events set club_id = 2 where id = :n',
    ],
    allowed: [`insert into notes values (9000, 3, null)`],
    refused: [`insert into notes values (9001, 1, null)`],
  },
  {
    name: 'orphaned-references',
    decisions: {
      root: 'public.stores',
      references: [{ from: 'public.order_notes(order_id)', to: 'public.orders(id)' }],
      tables: { 'public.order_notes': { orphans: 'quarantine' } },
    },
    classes: { stores: 'root', orders: 'owned store_id', order_notes: 'owned order_id' },
    found: ['public.order_notes(order_id) → public.orders(id) medium'],
    model: {
      stores: 'select tenant_id, id::text as key from stores',
      orders: 'select tenant_id, store_id::text as key from orders',
      order_notes: `select n.tenant_id, o.store_id::text as key from order_notes n left join orders o on o.id = n.order_id`,
    },
    writes: [
      'insert into order_notes values (:n, 9, $$x$$), (:n + 1, 7, $$an orphan again$$), (:n + 2, null, null)',
      'update order_notes set order_id = 12 where id = :n + 1',
      'begin; insert into order_notes values (:n + 3, :n, $$early$$); insert into orders values (:n, 2); commit',
    ],
    allowed: [`insert into order_notes values (9000, 4, $$x$$)`],
    refused: [`insert into order_notes values (9001, 1, $$x$$)`],
  },
  {
    name: 'undeclared-references',
    decisions: {
      root: 'public.accounts',
      references: [
        { from: 'public.users(account_id)', to: 'public.accounts(id)' },
        { from: 'public.orders(accountId)', to: 'public.accounts(id)' },
        { from: 'public.orders(buyer_user_id)', to: 'public.users(id)' },
        { from: 'public.order_items(order_id)', to: 'public.orders(id)' },
        { from: 'public.invoices(account_code)', to: 'public.accounts(code)' },
        { from: 'public.categories(account_id)', to: 'public.accounts(id)' },
        { from: 'public.meters(user_id)', to: 'public.users(id)' },
      ],
    },
    classes: {
      accounts: 'root',
      users: 'owned account_id',
      orders: 'owned accountId',
      order_items: 'owned order_id',
      invoices: 'owned account_code',
      categories: 'owned account_id',
      meters: 'owned user_id',
    },
    found: [
      'public.categories(account_id) → public.accounts(id) high',
      'public.categories(parent_id) → public.categories(id) high',
      'public.invoices(account) → public.accounts(id) high',
      'public.invoices(account_code) → public.accounts(code) high',
      'public.meters(user_id) → public.users(id) high',
      'public.order_items(order_id) → public.orders(id) high',
      'public.orders(accountId) → public.accounts(id) high',
      'public.orders(buyer_user_id) → public.users(id) medium',
      'public.users(account_id) → public.accounts(id) high',
    ],
    model: {
      accounts: 'select tenant_id, id::text as key from accounts',
      users: 'select tenant_id, account_id::text as key from users',
      orders: 'select tenant_id, "accountId"::text as key from orders',
      order_items: `select i.tenant_id, o."accountId"::text as key from order_items i join orders o on o.id::text = i.order_id`,
      invoices: 'select tenant_id, substr(account_code, 2) as key from invoices',
      categories: 'select tenant_id, account_id::text as key from categories',
      meters: 'select m.tenant_id, u.account_id::text as key from meters m join users u on u.id = m.user_id',
    },
    writes: [
      `insert into orders values (:n, 3, null)`,
      `insert into order_items values (:n, :n::text, 1)`,
      `update orders set "accountId" = 4 where id = :n`,
      `begin; insert into order_items values (:n + 1, (:n + 1)::text, 1); insert into orders values (:n + 1, 2, null); commit`,
      `insert into invoices values (:n, '2', 'A2')`,
      `update users set account_id = 1 where id = 50`,
    ],
    allowed: [`insert into orders values (9000, 1, 5)`],
    refused: [`insert into orders values (9001, 2, null)`, `insert into orders values (9002, 1, 1)`],
  },
  {
    name: 'partitioned-table',
    decisions: { root: 'public.sites' },
    classes: {
      sites: 'root',
      sensors: 'owned site_id',
      readings: 'owned sensor_id',
      alarms: 'owned sensor_id, at, no',
      costs: 'owned site_id',
    },
    model: {
      sites: 'select tenant_id, id::text as key from sites',
      sensors: 'select tenant_id, site_id::text as key from sensors',
      readings: 'select r.tenant_id, s.site_id::text as key from readings r join sensors s on s.id = r.sensor_id',
      alarms: 'select a.tenant_id, s.site_id::text as key from alarms a join sensors s on s.id = a.sensor_id',
      costs: 'select tenant_id, site_id::text as key from costs',
    },
    writes: [
      `insert into readings values (3, '2025-03-03', :n, 1), (4, '2030-01-01', :n, 1)`,
      `insert into alarms values (:n, 3, '2025-03-03', :n)`,
      `update readings set at = '2026-06-06' where at = '2030-01-01' and no = :n`,
      `insert into costs values (2, :n, 1)`,
      `update costs set site_id = 3 where id = :n`,
    ],
    allowed: [
      `insert into readings values (4, '2025-07-07', 9000, 1)`,
      `insert into alarms values (9000, 4, '2025-07-07', 9000)`,
    ],
    refused: [
      `insert into readings values (1, '2025-07-07', 9001, 1)`,
      `insert into alarms values (9001, 1, '2025-01-20', 20)`,
      `insert into costs values (2, 9000, 1)`,
    ],
  },
  {
    name: 'inheritance',
    decisions: {
      root: 'public.companies',
      references: [
        { from: 'public.trucks(company_id)', to: 'public.companies(id)' },
        { from: 'public.tank_trucks(company_id)', to: 'public.companies(id)' },
      ],
    },
    classes: {
      companies: 'root',
      vehicles: 'owned company_id',
      trucks: 'owned company_id',
      tank_trucks: 'owned company_id',
      bikes: 'owned company_id',
      trips: 'owned vehicle_id',
    },
    found: [
      'public.tank_trucks(company_id) → public.companies(id) high',
      'public.trucks(company_id) → public.companies(id) high',
    ],
    model: {
      companies: 'select tenant_id, id::text as key from companies',
      // with the rows of all that inherit from it
      vehicles: 'select tenant_id, company_id::text as key from vehicles',
      trucks: 'select tenant_id, company_id::text as key from trucks',
      tank_trucks: 'select tenant_id, company_id::text as key from tank_trucks',
      bikes: 'select tenant_id, company_id::text as key from bikes',
      trips: 'select t.tenant_id, v.company_id::text as key from trips t join only vehicles v on v.id = t.vehicle_id',
    },
    writes: [
      `insert into vehicles values (:n, 1, 'x')`,
      `insert into trucks values (:n, 2, 'x', 3)`,
      `insert into tank_trucks values (:n, 3, 'x', 3, 9)`,
      `insert into bikes (id, company_id, plate, gears) values (:n, 4, 'x', 3)`,
      'insert into trips values (:n, :n)',
      'update vehicles set company_id = 2 where id = :n',
      'update only vehicles set company_id = 4 where id = 3',
    ],
    allowed: [
      `insert into bikes (id, company_id, plate, gears) values (9000, 1, 'x', 3)`,
      `insert into vehicles values (9001, 1, 'x')`,
      'insert into trips values (9000, 9001)',
      `update vehicles set plate = 'y' where id = 9000`,
      'delete from bikes where id = 9000',
    ],
    refused: [
      `insert into bikes (id, company_id, plate, gears) values (9002, 2, 'x', 3)`,
      `insert into tank_trucks values (9003, 2, 'x', 3, 9)`,
      'insert into trips values (9001, 1)',
    ],
  },
  {
    name: 'generated-and-identity',
    decisions: { root: 'public.agencies' },
    classes: { agencies: 'root', listings: 'owned agency_id', pictures: 'owned listing_id' },
    model: {
      agencies: 'select tenant_id, id::text as key from agencies',
      listings: 'select tenant_id, agency_id::text as key from listings',
      pictures: `select p.tenant_id, l.agency_id::text as key from pictures p join listings l on l.id = split_part(p.path, '/', 2)::bigint`,
    },
    writes: [
      `insert into pictures (path) values ('pictures/7/x')`,
      `update pictures set path = 'pictures/8/y' where path = 'pictures/7/x'`,
      `insert into listings (agency_id, width, height) values (2, 2, 2)`,
      `insert into agencies (name) values ('Agency new ' || :n)`,
    ],
    allowed: [`insert into pictures (path) values ('pictures/4/z')`],
    refused: [`insert into pictures (path) values ('pictures/1/z')`],
  },
  {
    name: 'domains-and-enums',
    decisions: {
      root: 'public.branches',
      references: [{ from: 'public.remarks(about_type, about_id)', to: { branch: 'public.branches(code)' } }],
      tables: { 'public.remarks': { orphans: 'quarantine' } },
    },
    classes: {
      branches: 'root',
      desks: 'owned branch',
      bookings: 'owned desk_region, desk_no',
      remarks: 'owned about_type, about_id',
    },
    found: ['public.remarks(about_type, about_id) → branch: public.branches(code) high'],
    model: {
      branches: 'select tenant_id, code as key from branches',
      desks: 'select tenant_id, branch as key from desks',
      bookings: `select b.tenant_id, d.branch as key from bookings b join desks d on (d.region, d.no) = (b.desk_region, b.desk_no)`,
      remarks: `select r.tenant_id, case r.about_type when 'branch' then r.about_id end as key from remarks r`,
    },
    writes: [
      `insert into desks values ('north', :n, 'BB')`,
      `insert into bookings values (:n, 'north', :n)`,
      `insert into remarks values (:n, 'branch', 'CC'), (:n + 1, 'desk', '1')`,
      `update bookings set desk_region = 'south', desk_no = 2 where id = :n`,
    ],
    allowed: [`insert into desks values ('north', 9000, 'AA')`, `insert into bookings values (9000, 'north', 9000)`],
    refused: [`insert into bookings values (9001, 'south', 1)`, `insert into remarks values (9000, 'branch', 'BB')`],
  },
  {
    name: 'extension-types',
    decisions: {
      root: 'public.brands',
      references: [{ from: 'public.labels(article_sku)', to: 'public.articles(sku)' }],
    },
    classes: { brands: 'root', articles: 'owned brand', labels: 'owned article_sku' },
    found: ['public.labels(article_sku) → public.articles(sku) high'],
    model: {
      brands: 'select tenant_id, name::text as key from brands',
      articles: 'select a.tenant_id, b.name::text as key from articles a join brands b on b.name = a.brand',
      labels:
        'select l.tenant_id, b.name::text as key from labels l join articles a on a.sku = l.article_sku join brands b on b.name = a.brand',
    },
    writes: [
      `insert into articles values ('New-' || :n, 'bRAND 2')`,
      `insert into labels values (:n, 'NEW-' || :n)`,
      `update articles set brand = 'BRAND 3' where sku = 'new-' || :n`,
    ],
    allowed: [`insert into articles values ('tenant', 'brand 1')`],
    refused: [`insert into articles values ('other', 'brand 2')`, `insert into labels values (9000, 'sku-1')`],
  },
  {
    name: 'quoted-names',
    decisions: {
      root: 'public."User Group"',
      references: [{ from: 'public."Überweisung"(OrderID)', to: 'public."Order"(ID)' }],
    },
    classes: {
      'User Group': 'root',
      user: 'owned group',
      Order: 'owned user',
      order: 'owned Order',
      'semi;colon"quote': 'owned from ($body$)',
      Überweisung: 'owned OrderID',
    },
    // two tables whose names differ in nothing but the case: each is a guess
    found: [
      'public."Überweisung"(OrderID) → public."Order"(ID) medium',
      'public."Überweisung"(OrderID) → public."order"(id) medium',
    ],
    model: {
      '"User Group"': 'select tenant_id, "ID"::text as key from "User Group"',
      '"user"': 'select tenant_id, "group"::text as key from "user"',
      '"Order"': 'select o.tenant_id, u."group"::text as key from "Order" o join "user" u on u."select" = o."user"',
      '"order"':
        'select l.tenant_id, u."group"::text as key from "order" l join "Order" o on o."ID" = l."Order" join "user" u on u."select" = o."user"',
      '"semi;colon""quote"': `select s.tenant_id, u."group"::text as key from "semi;colon""quote" s join "order" l on l.id = s."from ($body$)" join "Order" o on o."ID" = l."Order" join "user" u on u."select" = o."user"`,
      '"Überweisung"': `select s.tenant_id, u."group"::text as key from "Überweisung" s join "Order" o on o."ID" = s."OrderID" join "user" u on u."select" = o."user"`,
    },
    writes: [
      'insert into "Order" values (:n, 2)',
      'insert into "order" values (:n, :n)',
      'insert into "semi;colon""quote" values (:n, :n)',
      'insert into "Überweisung" values (:n, :n)',
      'update "Order" set "user" = 3 where "ID" = :n',
    ],
    allowed: [`insert into "Order" values (9000, 3)`],
    refused: [`insert into "Order" values (9001, 1)`],
  },
  {
    name: 'several-schemas',
    decisions: { root: 'public.tenants' },
    classes: {
      'public.tenants': 'root',
      'sales.accounts': 'owned tenant_id_no',
      'Support.accounts': 'owned sales_account',
      'public.accounts': 'owned support_account',
      'sales.pg_class': 'owned account_id',
    },
    model: {
      'public.tenants': 'select tenant_id, id::text as key from public.tenants',
      'sales.accounts': 'select tenant_id, tenant_id_no::text as key from sales.accounts',
      '"Support".accounts':
        'select t.tenant_id, s.tenant_id_no::text as key from "Support".accounts t join sales.accounts s on s.id = t.sales_account',
      'public.accounts':
        'select a.tenant_id, s.tenant_id_no::text as key from public.accounts a join "Support".accounts t on t.id = a.support_account join sales.accounts s on s.id = t.sales_account',
      'sales.pg_class':
        'select c.tenant_id, s.tenant_id_no::text as key from sales.pg_class c join sales.accounts s on s.id = c.account_id',
    },
    writes: [
      'set search_path = sales; insert into accounts values (:n, 2); reset search_path',
      'set search_path = "Support", public; insert into accounts values (:n, :n); reset search_path',
      'insert into public.accounts values (:n, :n)',
      'insert into sales.pg_class values (:n, :n)',
      'update sales.accounts set tenant_id_no = 3 where id = :n',
    ],
    allowed: [`insert into "Support".accounts values (9000, 3)`],
    refused: [`insert into "Support".accounts values (9001, 1)`],
  },
  {
    name: 'views',
    decisions: { root: 'public.shops' },
    classes: { shops: 'root', orders: 'owned shop_id' },
    model: {
      shops: 'select tenant_id, id::text as key from shops',
      orders: 'select tenant_id, shop_id::text as key from orders',
    },
    writes: [
      'insert into open_orders (shop_id, total) values (2, 5)',
      'update open_orders set shop_id = 3 where id = (select max(id) from open_orders)',
      'insert into all_orders (shop_id, total) values (1, 0)',
      'delete from open_orders where id = 1',
      'refresh materialized view concurrently totals',
    ],
    allowed: [`insert into orders (shop_id, total) values (1, 1)`],
    refused: [`insert into orders (shop_id, total) values (2, 1)`],
  },
  {
    name: 'functions-and-triggers',
    decisions: { root: 'public.firms' },
    classes: { firms: 'root', jobs: 'owned firm_id', job_log: 'owned job_id', job_stats: 'owned job_id' },
    model: {
      firms: 'select tenant_id, id::text as key from firms',
      jobs: 'select tenant_id, firm_id::text as key from jobs',
      job_log: 'select l.tenant_id, j.firm_id::text as key from job_log l join jobs j on j.id = l.job_id',
      job_stats: 'select s.tenant_id, j.firm_id::text as key from job_stats s join jobs j on j.id = s.job_id',
    },
    writes: [
      'insert into jobs (firm_id) values (null)',
      'select add_job(3)',
      'update jobs set firm_id = 2 where id = (select max(id) from jobs)',
      'update jobs set changes = 0 where id = 5',
    ],
    allowed: [`insert into jobs (firm_id) values (1)`],
    refused: [`insert into jobs (firm_id) values (2)`],
  },
  {
    name: 'extension-tables',
    decisions: { root: 'public.cities' },
    classes: { cities: 'root', streets: 'owned city_id' },
    model: {
      cities: 'select tenant_id, id::text as key from cities',
      streets: 'select tenant_id, city_id::text as key from streets',
    },
    writes: ['insert into streets values (:n, 2)', 'insert into spatial_notes values (:n, 2)'],
    allowed: [`insert into streets values (9000, 1)`],
    refused: [`insert into streets values (9001, 2)`],
  },
  {
    name: 'publications',
    decisions: { root: 'public.shops' },
    classes: { shops: 'root', orders: 'owned shop_id', order_log: 'owned order_id' },
    model: {
      shops: 'select tenant_id, id::text as key from shops',
      orders: 'select tenant_id, shop_id::text as key from orders',
      order_log: 'select l.tenant_id, o.shop_id::text as key from order_log l join orders o on o.id = l.order_id',
    },
    writes: [
      'insert into orders values (:n, 2, 1)',
      `insert into order_log values (:n, 'y')`,
      'update orders set shop_id = 3 where id = :n',
      `update order_log set what = 'z' where order_id = :n`,
    ],
    allowed: [`insert into orders values (9000, 1, 1)`, `insert into order_log values (9000, 't')`],
    refused: [`insert into order_log values (1, 't')`],
  },
  {
    name: 'deferrable-keys',
    decisions: { root: 'public.farms' },
    classes: { farms: 'root', barns: 'owned farm_id', cows: 'owned barn_id', milkings: 'owned cow_id' },
    model: {
      farms: 'select tenant_id, id::text as key from farms',
      barns: 'select tenant_id, farm_id::text as key from barns',
      cows: 'select c.tenant_id, b.farm_id::text as key from cows c join barns b on b.id = c.barn_id',
      milkings:
        'select m.tenant_id, b.farm_id::text as key from milkings m join cows c on c.id = m.cow_id join barns b on b.id = c.barn_id',
    },
    writes: [
      `begin; insert into cows values (:n, :n); insert into barns values (:n, :n, :n); insert into farms values (:n, 'New'); commit`,
      `begin; set constraints all deferred; insert into milkings values (:n, :n + 1); insert into cows values (:n + 1, :n); commit`,
      'update cows set barn_id = 3 where id = :n + 1',
    ],
    allowed: [`insert into barns values (9000, 1, null)`, `insert into cows values (9000, 9000)`],
    refused: [`insert into cows values (9001, 1)`],
  },
  {
    name: 'key-types',
    decisions: { root: 'public.franchises' },
    classes: {
      franchises: 'root',
      kitchens: 'owned country, franchise_no',
      menus: 'owned kitchen_id',
      dishes: 'owned menu',
      prices: 'owned dish_id',
      receipts: 'owned price_day, price_amount',
    },
    model: {
      franchises: `select tenant_id, country || ':' || no as key from franchises`,
      kitchens: `select tenant_id, country || ':' || franchise_no as key from kitchens`,
      menus: `select m.tenant_id, k.country || ':' || k.franchise_no as key from menus m join kitchens k on k.id = m.kitchen_id`,
      dishes: `select d.tenant_id, k.country || ':' || k.franchise_no as key from dishes d join menus m on m.code = d.menu join kitchens k on k.id = m.kitchen_id`,
      prices: `select p.tenant_id, k.country || ':' || k.franchise_no as key from prices p join dishes d on d.id = p.dish_id join menus m on m.code = d.menu join kitchens k on k.id = m.kitchen_id`,
      receipts: `select r.tenant_id, k.country || ':' || k.franchise_no as key from receipts r join prices p on (p.day, p.amount) = (r.price_day, r.price_amount) join dishes d on d.id = p.dish_id join menus m on m.code = d.menu join kitchens k on k.id = m.kitchen_id`,
    },
    writes: [
      `insert into kitchens values (md5(:n::text)::uuid, 'de', 2)`,
      `insert into menus values ('m' || :n, md5(:n::text)::uuid)`,
      `insert into dishes values (:n, 'm' || :n)`,
      `insert into prices values (:n + 0.25, '2027-01-01', :n)`,
      `insert into receipts values (:n, '2027-01-01', :n + 0.25)`,
      `update kitchens set country = 'at', franchise_no = 1 where id = md5(:n::text)::uuid`,
    ],
    allowed: [`insert into menus values ('m9000', '00000000-0000-4000-8000-000000000004')`],
    refused: [`insert into menus values ('m9001', '00000000-0000-4000-8000-000000000001')`],
  },
];
