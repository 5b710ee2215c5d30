import { ident, type Statement } from '../../database/sql.ts';
import type { ForeignKey, TableName, TriggerFacts } from '../inspection.ts';
import type { BackfillStep, Phase, Plan, Step, TablePlan } from '../plan-types.ts';
import { organizationKey } from '../key-text.ts';
import { isByUse, planClaims } from '../decisions/use.ts';
import { tenantByColumns } from '../decisions/by-columns.ts';
import { isRuled } from '../decisions/rule.ts';
import { createAliases, joinCondition, parentRows } from '../tenant-sql.ts';
import { backfillSetting, planUnguard } from './fill.ts';
import { fillMode } from './fill-mode.ts';

/**
 * The rows of the pages from `$1` up to `$2`, and of them one stripe: those whose line pointer (its low byte is the last of a place's
 * binary form, the cheapest way to it) modulo `$3` is no bit of `$4`. All of them: 1 and 0. Between two stripes the server prunes
 * what the first one left behind, so that the later ones stay in the page and touch no index.
 */
const place = (side: string): string => `pg_catalog.format('(%s,0)', ${side}::bigint)::pg_catalog.tid`;
const pages = `t.ctid >= ${place('$1')} and t.ctid < ${place('$2')}`;
const stripe = `($4::bigint >> pg_catalog.mod(pg_catalog.get_byte(pg_catalog.tidsend(t.ctid), 5), $3::int)) & 1 = 0`;

/** True for a statement whose stripes may be of any size: `$4` is a mask. */
export const hasMask = (text: string): boolean => text.includes(stripe);

/** The end of the names of steps that fill what an earlier pass has left: rows that moved meanwhile. */
export const restOf = '/rest';

export function backfillStep(
  plan: Plan,
  table: TablePlan,
  leaf: TableName,
  phase: Phase,
  end: '/rows' | typeof restOf = '/rows',
): BackfillStep {
  const column = ident(plan.column);
  const parent = onlyParent(plan, table);
  const value =
    table.class === 'root'
      ? `tenantry.adopt_organization(${organizationKey('t', plan.keys[table.table] ?? [])}, ${
          plan.root?.nameColumn == null ? 'null::text' : `t.${ident(plan.root.nameColumn)}::text`
        })`
      : parentValue(plan, table);
  const set = parent === undefined ? value : `p.${column}`;
  const from = parent === undefined ? '' : ` from ${parentRows(parent)} p`;
  const found = parent === undefined ? '' : ` and ${joinCondition(parent, 't', 'p')} and p.${column} is not null`;
  return {
    id: `${phase}/${leaf}${end}`,
    phase,
    table: table.table,
    kind: 'backfill',
    relation: leaf,
    up: [
      {
        purpose:
          end === restOf
            ? `${plan.column} of rows of ${leaf} that the application moved while the backfill passed`
            : `${plan.column} of ${leaf}, window by window`,
        text: `update only ${leaf} t set ${column} = ${set}${from} where ${pages} and t.${column} is null${found} and ${stripe}`,
      },
    ],
    down: [],
  };
}

/** The one key of a plain table: its rows are joined with their parents', whose key is unique. */
function onlyParent(plan: Plan, table: TablePlan): ForeignKey | undefined {
  const [key] = table.via;
  if (table.class === 'root' || table.via.length !== 1 || key === undefined || key.parent === table.table)
    return undefined;
  if (key.confirmed === true || isRuled(table.rule) || plan.keys[table.table] !== undefined) return undefined;
  return key;
}

function parentValue(plan: Plan, table: TablePlan): string {
  const tree = table.via.some((key) => key.parent === table.table);
  if (tree || isRuled(table.rule) || plan.keys[table.table] !== undefined) {
    const { decided } = tenantByColumns(plan, table, 't', createAliases(), { climb: tree, unfilled: true });
    return `(select ${decided.expression} from (values (1)) one ${decided.joins.join(' ')})`;
  }
  const column = ident(plan.column);
  const values = table.via.map(
    (key) => `(select p.${column} from ${parentRows(key)} p where ${joinCondition(key, 't', 'p')})`,
  );
  return values.length === 1 ? (values[0] ?? 'null') : `coalesce(${values.join(', ')})`;
}

/** The backfill of one table, with the host's own update triggers out of its way. */
export function planBackfill(plan: Plan, table: TablePlan, triggers: readonly TriggerFacts[]): Step[] {
  // those of the root are filled in expand
  const { before, after } =
    table.class === 'root' ? { before: [], after: [] } : planSuspension(table, triggers, 'backfill');
  const mode = fillMode(plan, table, triggers);
  const unguard = planUnguard(plan, table, mode);
  const unguarding: Step = {
    id: `backfill/${table.table}/unguard`,
    phase: 'backfill',
    table: table.table,
    kind: 'transaction',
    up: unguard.up,
    down: unguard.down,
  };
  const rows =
    table.class === 'root'
      ? []
      : isByUse(table)
        ? planClaims(plan, table)
        : table.leaves.map((leaf) => backfillStep(plan, table, leaf, 'backfill'));
  const rest = mode === 'beside' ? table.leaves.map((leaf) => backfillStep(plan, table, leaf, 'backfill', restOf)) : [];
  return [...before, ...rows, ...after, unguarding, ...rest];
}

/** The host's own update triggers, asleep for what stands between `before` and `after`. */
export function planSuspension(
  table: TablePlan,
  triggers: readonly TriggerFacts[],
  phase: Phase,
): { readonly before: Step[]; readonly after: Step[] } {
  const suspended = triggers.filter((trigger) => trigger.table === table.table && wouldFire(trigger));
  if (suspended.length === 0) return { before: [], after: [] };
  const base = { phase, table: table.table, kind: 'transaction' } as const;
  const originals = suspended.flatMap((trigger) => asIs(trigger));
  const guarded = suspended.flatMap((trigger) => asleep(trigger));
  return {
    before: [{ ...base, id: `${phase}/${table.table}/suspend`, up: guarded, down: originals }],
    after: [{ ...base, id: `${phase}/${table.table}/resume`, up: originals, down: guarded }],
  };
}

/** A trigger of the host that an update of the tenant column alone would fire: it would stamp `updated_at` on every row. */
export function wouldFire(trigger: TriggerFacts): boolean {
  return (
    trigger.events.includes('update') &&
    trigger.columns.length === 0 &&
    !trigger.constraint &&
    (trigger.enabled === 'O' || trigger.enabled === 'A')
  );
}

export function asIs(trigger: TriggerFacts): Statement[] {
  return withState(trigger, replaceable(trigger.definition), 'the trigger as it was');
}

/** The trigger with a condition: it does not fire for what a backfill writes. */
export function asleep(trigger: TriggerFacts): Statement[] {
  const definition = replaceable(trigger.definition);
  const at = definition.lastIndexOf(' EXECUTE FUNCTION ');
  const guard = `pg_catalog.current_setting('${backfillSetting}', true) is distinct from 'on'`;
  const head = definition.slice(0, at);
  const condition = trigger.hasCondition ? / WHEN \((.*)\)$/s.exec(head) : null;
  const text =
    condition?.[1] === undefined
      ? `${head} when (${guard})${definition.slice(at)}`
      : `${head.slice(0, condition.index)} when ((${condition[1]}) and ${guard})${definition.slice(at)}`;
  return withState(trigger, text, 'this trigger of the application sleeps through the backfill, and for it alone');
}

function replaceable(definition: string): string {
  return definition.replace(/^CREATE TRIGGER/, 'create or replace trigger');
}

function withState(trigger: TriggerFacts, text: string, purpose: string): Statement[] {
  const statement = { purpose, text };
  return trigger.enabled === 'A'
    ? [statement, { purpose, text: `alter table ${trigger.table} enable always trigger ${ident(trigger.name)}` }]
    : [statement];
}
