import { TenantryError } from '../errors.ts';
import { type Classification, classifyTables, type Decisions, hasTenant } from './classify.ts';
import { graphOf, type UsageFacts } from './data-facts.ts';
import { withRules } from './decisions/classes.ts';
import { mayQuarantine } from './decisions/rule.ts';
import { keyColumns, labelsOf } from './graph.ts';
import type { Inspection, TableFacts, TableName } from './inspection.ts';
import type { OrganizationKeys } from './key-text.ts';
import { factsOf, isInherited, keysOf } from './lookups.ts';
import type { MembershipDecisions } from './memberships/types.ts';
import type { FoundReference, Plan, ReferenceDecision, Required, TablePlan, UniquePlan } from './plan-types.ts';
import { withReferences } from './references/confirm.ts';
import { planMemberships, requireRoot } from './plan-root.ts';
import { nameColumn, organizationKeys } from './roots.ts';
import { planSteps } from './steps/steps.ts';
import { parentsFirst } from './tenant-sql.ts';
import { asInvalid } from './uniques/amend.ts';
import { checkCompositeKeys } from './uniques/composite.ts';
import { KeyProblem, planUniques, type UniqueDecisions } from './uniques/judge.ts';

/** All that a person decides; the file `tenantry.plan.yaml` holds nothing else. */
export interface PlanDecisions extends Decisions {
  /** Name of the tenant column. Default `tenant_id`. */
  readonly column?: string | undefined;
  /** The root's column that organizations take their names from. Default: a likely one. */
  readonly nameColumn?: string | undefined;
  /** References without a constraint that a person confirmed. */
  readonly references?: readonly ReferenceDecision[] | undefined;
  /** Old user and organization tables that become users and members. */
  readonly memberships?: MembershipDecisions | undefined;
}

/**
 * Turns what the catalogue says and what a person decided into every statement of every phase. Pure: reads and changes nothing.
 *
 * @throws TNT_PLAN_INVALID when a decision names what is not there or contradicts another
 */
export function planAdoption(
  found: Inspection,
  decisions: PlanDecisions,
  usage: ReadonlyMap<TableName, UsageFacts> = new Map(),
  offers: readonly FoundReference[] = [],
): Plan {
  const inspection = withReferences(found, decisions.references);
  const column = decisions.column ?? 'tenant_id';
  const rootFacts = requireRoot(inspection, decisions);
  const keys = organizationKeys(inspection, decisions);
  const classes = withRules(inspection, decisions, classifyTables(inspection, decisions, usage));
  const graph = graphOf(inspection, classes, decisions);
  const order = parentsFirst(graph);
  const byName = new Map(inspection.tables.map((table) => [table.name, table]));
  const required = requirements(classes, order, withoutPromise(inspection, decisions, keys));
  const withTenant = new Set(order);
  const tables = classes.map((classification): TablePlan => {
    const facts = byName.get(classification.table);
    if (facts === undefined) throw new TenantryError('TNT_INTERNAL', `no facts for ${classification.table}`);
    return {
      ...classification,
      schema: facts.schema,
      name: facts.table,
      owner: facts.owner,
      leaves: facts.kind === 'partitioned' ? facts.partitions : [facts.name],
      primaryKey: facts.primaryKey,
      inherits: facts.inherits.filter((parent) => order.includes(parent)),
      inherited: isInherited(inspection, facts.name),
      generated: generatedKeys(classification, facts),
      known: hasTenant(classification.class)
        ? []
        : keysOf(inspection.foreignKeys, facts.name).filter((key) => withTenant.has(key.parent)),
      rows: facts.rows,
      required: required.get(facts.name) ?? 'at once',
      uniques: uniquesOf(inspection, facts, classification, decisions.tables?.[facts.name]?.uniques),
      compositeKeys: decisions.tables?.[facts.name]?.compositeKeys ?? [],
    };
  });
  refuseContradictions(inspection, decisions, classes, column, keys);
  for (const table of tables.filter((one) => one.class !== 'undecided'))
    asInvalid(table.table, () => checkCompositeKeys(tables, table));
  const plan: Plan = {
    version: 1,
    database: inspection.database,
    serverVersion: inspection.serverVersion,
    column,
    root:
      rootFacts === null
        ? null
        : {
            table: rootFacts.name,
            key: (keys[rootFacts.name] ?? []).map((column) => column.name),
            nameColumn: decisions.nameColumn ?? nameColumn(rootFacts) ?? null,
          },
    constant: decisions.constant === undefined ? null : { name: decisions.constant, key: slugOf(decisions.constant) },
    mapping: decisions.query === undefined ? null : { query: decisions.query },
    keys,
    memberships: planMemberships(inspection, decisions),
    references: decisions.references ?? [],
    offers,
    tables,
    order,
    steps: [],
  };
  return { ...plan, steps: planSteps(plan, inspection) };
}

function uniquesOf(
  inspection: Inspection,
  facts: TableFacts,
  { table, class: kind }: Classification,
  decided: UniqueDecisions | undefined,
): UniquePlan[] {
  return asInvalid(table, () => {
    if (hasTenant(kind) || kind === 'undecided')
      return planUniques(inspection.foreignKeys, facts, kind === 'root', decided);
    const [name] = Object.keys(decided ?? {});
    if (name !== undefined)
      throw new KeyProblem(['uniques', name], `${table} has class ${kind}: its rows have no tenant to be unique in`);
    return [];
  });
}

function generatedKeys({ via, checks }: Classification, facts: TableFacts): TablePlan['generated'] {
  const keys = new Set([...via, ...checks].flatMap(keyColumns));
  return facts.columns.flatMap(({ name, expression, generatedFrom }) =>
    keys.has(name) && expression != null ? [{ column: name, expression, reads: generatedFrom ?? [] }] : [],
  );
}

function refuseContradictions(
  inspection: Inspection,
  decisions: PlanDecisions,
  classes: readonly Classification[],
  column: string,
  keys: OrganizationKeys,
): void {
  const byName = new Map(classes.map((c) => [c.table, c]));
  const fail = (message: string): never => {
    throw new TenantryError('TNT_PLAN_INVALID', message);
  };
  for (const [table, decision] of Object.entries(decisions.tables ?? {})) {
    const keys = labelsOf(keysOf(inspection.foreignKeys, table));
    const unknown = decision.via?.find((label) => !keys.includes(label));
    if (unknown !== undefined) fail(`Table ${table} has no foreign key on (${unknown}): see its "via".`);
  }
  for (const { table, class: kind, via, rule } of classes) {
    const facts = factsOf(inspection, table);
    if (hasTenant(kind) && facts?.columns.some((c) => c.name === column) === true) {
      fail(`Table ${table} already has a column ${column}: choose another name for tenant.column.`);
    }
    for (const parent of facts?.inherits ?? []) {
      const above = byName.get(parent)?.class;
      if (kind === 'undecided' || above === 'undecided' || hasTenant(kind) === hasTenant(above)) continue;
      fail(
        hasTenant(kind)
          ? `Table ${table} has class ${kind}, and ${parent}, which it inherits from, has no tenant: a query on ${parent} would read its rows past every policy.`
          : `Table ${table} has class ${kind}, and ${parent}, which it inherits from, has a tenant: its rows, read through ${parent}, would belong to nobody.`,
      );
    }
    if (kind === 'root' && table !== decisions.root)
      fail(`Table ${table} has class root, but the root is ${decisions.root ?? 'a constant'}.`);
    if (decisions.constant !== undefined || kind === 'root' || keys[table] !== undefined || !hasTenant(kind)) continue;
    const users = rule?.usedBy ?? [];
    if (via.length === 0 && users.length === 0)
      fail(`Table ${table} has class ${kind}, but no foreign key leads from it to ${decisions.root ?? ''}.`);
    const circle = users.find((key) => reaches(byName, key.table, table));
    if (circle !== undefined)
      fail(
        `Table ${table} gets its tenant from ${circle.table}, which uses it, and ${circle.table} from ${table}: a circle.`,
      );
    for (const key of via) {
      if (!hasTenant(byName.get(key.parent)?.class)) {
        fail(
          `Table ${table} gets its tenant from ${key.parent}, which has none: its class is ${byName.get(key.parent)?.class ?? 'unknown'}.`,
        );
      }
      // a tree: some other way must lead out of it
      const tree = key.parent === table && via.some((way) => way.parent !== table);
      if (!tree && reaches(byName, key.parent, table))
        fail(`Table ${table} gets its tenant from ${key.parent}, and ${key.parent} from ${table}: a circle.`);
    }
  }
}

function reaches(byName: ReadonlyMap<TableName, Classification>, from: TableName, to: TableName): boolean {
  const seen = new Set<TableName>([from]);
  for (const name of seen) {
    if (name === to) return true;
    for (const key of byName.get(name)?.via ?? []) seen.add(key.parent);
    for (const key of byName.get(name)?.rule?.usedBy ?? []) seen.add(key.table);
  }
  return false;
}

/** Tables whose rows may wait for a tenant: a key may come before its organization, or be null. */
function withoutPromise(inspection: Inspection, { query }: PlanDecisions, keys: OrganizationKeys): Set<TableName> {
  const mayBeNull = (table: TableName, name: string): boolean =>
    factsOf(inspection, table)?.columns.find((c) => c.name === name)?.notNull !== true;
  return new Set(
    Object.entries(keys).flatMap(([table, held]) =>
      query !== undefined || held.some(({ name }) => mayBeNull(table, name)) ? [table] : [],
    ),
  );
}

const ranks: readonly Required[] = ['at once', 'at commit', 'never'];

/** A table cannot promise more than its parent does. */
function requirements(
  classes: readonly Classification[],
  order: readonly TableName[],
  loose: ReadonlySet<TableName>,
): Map<TableName, Required> {
  const byName = new Map(classes.map((c) => [c.table, c]));
  const result = new Map<TableName, Required>();
  for (const table of order) {
    const { via, class: kind, rule } = byName.get(table) ?? { via: [], class: 'shared' as const };
    const own =
      (kind !== 'root' && mayQuarantine(rule)) || loose.has(table)
        ? 2
        : kind === 'root' || via.length === 0
          ? 0
          : via.every((k) => k.nullable) && !rule?.orphans.startsWith('organization:')
            ? 2
            : via.some((k) => k.deferrable)
              ? 1
              : 0;
    const above = via.map((key) => ranks.indexOf(result.get(key.parent) ?? 'at once'));
    const parents = via.some((key) => !key.nullable) && via.length > 1 ? Math.min(...above) : Math.max(0, ...above);
    result.set(table, ranks[Math.max(own, parents)] ?? 'never');
  }
  return result;
}

/** `System Tenant` → `system-tenant`. */
export function slugOf(name: string): string {
  const slug = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');
  return slug === '' ? 'tenant' : slug.slice(0, 63);
}
