import { ident, literal, type Statement } from '../../database/sql.ts';
import type { Inspection, TableName } from '../inspection.ts';
import type { BatchStep, Plan, Step } from '../plan-types.ts';
import { functionName, membershipTriggers } from '../steps/names.ts';
import { triggerFunction } from '../steps/trigger-function.ts';
import { concerned, membershipFunctions, waiting, watched } from './functions.ts';
import type { MembershipPlan } from './types.ts';

/**
 * First of all steps, so that its undo comes last of all: what the memberships were made of is there until the end, and their
 * organizations go after them.
 */
export function planMembershipFunctions(plan: Plan, inspection: Inspection): Step[] {
  const { memberships } = plan;
  if (memberships === null) return [];
  const { up, down } = membershipFunctions(plan, memberships);
  return [
    {
      id: 'expand/memberships/functions',
      phase: 'expand',
      table: null,
      kind: 'transaction',
      up,
      down: [
        {
          purpose: 'memberships and users that this adoption made, and nobody else’s',
          text: 'select tenantry.adopt_forget_members()',
        },
        ...down,
      ],
    },
    ...memberships.tables.flatMap((name) => readable(plan, inspection, name)),
  ];
}

/** tenantry_owner reads the old tables: those with a tenant are readable for it by their own step. */
function readable(plan: Plan, inspection: Inspection, name: TableName): Step[] {
  if (plan.constant === null && plan.order.includes(name)) return [];
  const schema = inspection.tables.find((table) => table.name === name)?.schema ?? '';
  const covered = plan.tables.some((table) => plan.order.includes(table.table) && table.schema === schema);
  const usedBy = inspection.schemas.find((known) => known.name === schema)?.usedBy ?? [];
  const usage = !covered && !usedBy.includes('tenantry_owner');
  return [
    {
      id: `expand/memberships/${name}/read`,
      phase: 'expand',
      table: name,
      kind: 'transaction',
      up: [
        ...(usage
          ? [
              {
                purpose: 'the membership triggers run as tenantry_owner',
                text: `grant usage on schema ${ident(schema)} to tenantry_owner`,
              },
            ]
          : []),
        {
          purpose: 'the membership triggers run as tenantry_owner',
          text: `grant select on ${name} to tenantry_owner`,
        },
      ],
      down: [
        { purpose: 'as before', text: `revoke select on ${name} from tenantry_owner` },
        ...(usage
          ? [{ purpose: 'as before', text: `revoke usage on schema ${ident(schema)} from tenantry_owner` }]
          : []),
      ],
    },
  ];
}

/** The triggers on the old tables, when the organizations are there: from then on every change is followed. */
export function planMembershipTriggers({ memberships }: Plan, inspection: Inspection): Step[] {
  if (memberships === null) return [];
  return memberships.tables.map((table) => {
    const { level, written, emptied } = placesOf(inspection, table);
    const following = triggerFunction('members', { table }, followBody(memberships, table, level));
    const name = functionName('members', table);
    const { insert, update, remove, truncate } = membershipTriggers;
    const rows = (kind: 'new' | 'old', called: string): string =>
      level === 'row' ? 'for each row' : `referencing ${kind} table as ${called} for each statement`;
    const trigger = (what: string, text: string): Statement => ({
      purpose: what,
      text: `create or replace trigger ${text} execute function ${name}()`,
    });
    return {
      id: `expand/memberships/${table}/triggers`,
      phase: 'expand',
      table,
      kind: 'transaction',
      up: [
        ...following.up,
        ...written.flatMap((place) => [
          trigger(
            'new rows of the old table become memberships',
            `${insert} after insert on ${place} ${rows('new', 'added')}`,
          ),
          trigger(
            'rows that go take their memberships along',
            `${remove} after delete on ${place} ${rows('old', 'removed')}`,
          ),
          trigger(
            'rows that change change them',
            `${update} after update on ${place} for each row when (${changed(memberships, table)})`,
          ),
        ]),
        ...emptied.map((place) =>
          trigger('all of them at once', `${truncate} after truncate on ${place} for each statement`),
        ),
      ],
      down: [
        ...written.flatMap((place) => [insert, update, remove].map((known) => dropTrigger(known, place))),
        ...emptied.map((place) => dropTrigger(truncate, place)),
        ...following.down,
      ],
    };
  });
}

const dropTrigger = (name: string, table: TableName): Statement => ({
  purpose: 'as before',
  text: `drop trigger if exists ${name} on ${table}`,
});

interface Places {
  readonly level: 'statement' | 'row';
  /** Where rows come, change and go. */
  readonly written: readonly TableName[];
  readonly emptied: readonly TableName[];
}

/**
 * A trigger for statements fires on the table that a statement names, so one that names a partition, or moves a row to another, would
 * pass it by: there each row is followed, on every partition, also on those to come. A table that inherits has triggers of its own.
 */
function placesOf({ tables }: Inspection, name: TableName): Places {
  const facts = tables.find((table) => table.name === name);
  if (facts?.kind === 'partitioned') return { level: 'row', written: [name], emptied: [name, ...facts.partitions] };
  const family = new Set([name]);
  // a Set that grows while it is walked is walked to its end
  for (const member of family) for (const table of tables) if (table.inherits.includes(member)) family.add(table.name);
  return { level: 'statement', written: [...family], emptied: [...family] };
}

function changed(memberships: MembershipPlan, table: TableName): string {
  const columns = watched(memberships, table);
  // as bytes or text: a column of json has no equality
  if (columns === null) return 'old.* *<> new.*';
  return columns.map((c) => `old.${ident(c)}::text is distinct from new.${ident(c)}::text`).join(' or ');
}

/** The old application never fails here: what cannot be followed waits, and verify lists it. */
function followBody(memberships: MembershipPlan, table: TableName, level: Places['level']): string {
  const one = (...aliases: string[]): string =>
    `unnest(array[${aliases.flatMap((alias) => concerned(memberships, table, alias)).join(', ')}]) v(k)`;
  const all = (transition: string): string => {
    const keys = concerned(memberships, table, 'r').map((key) => `(${key})`);
    return `${transition} r cross join lateral (values ${keys.join(', ')}) v(k)`;
  };
  const keys = (from: string): string => `v_keys := array(select distinct v.k from ${from} where v.k is not null);`;
  return `declare
  v_keys text[];
begin
  if tg_op = 'INSERT' then
    ${keys(level === 'row' ? one('new') : all('added'))}
  elsif tg_op = 'DELETE' then
    ${keys(level === 'row' ? one('old') : all('removed'))}
  elsif tg_op = 'UPDATE' then
    ${keys(one('old', 'new'))}
  else
    v_keys := array(select k.old_key from tenantry.adoption_user_keys k join tenantry.adoption_runs r on r.id = k.run_id where r.status = 'open');
  end if;
  if v_keys <> '{}' then
    perform tenantry.adopt_sync(v_keys, false);
  end if;
  return null;
exception when others then
  raise log ${waiting(table)}, sqlerrm;
  perform tenantry.adopt_missed(${literal(table)}, sqlstate, sqlerrm);
  return null;
end `;
}

/** The users and memberships that are there already, batch by batch. */
export function planMembershipBatches({ memberships }: Plan): BatchStep[] {
  if (memberships === null) return [];
  return [
    {
      id: 'backfill/memberships',
      phase: 'backfill',
      table: memberships.users.table,
      kind: 'batches',
      up: [
        {
          purpose: 'users and memberships of the old tables: $1 the last key of the batch before, $2 how many',
          text: `with batch as materialized (select array(select k from tenantry.adopt_old_keys($1::text, $2::int) k) as keys)
select b.keys[pg_catalog.cardinality(b.keys)] as last, pg_catalog.cardinality(b.keys) as rows, tenantry.adopt_sync(b.keys, true) as changed from batch b`,
        },
      ],
      down: [],
    },
  ];
}
