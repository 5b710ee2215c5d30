import { ident, literal, qualifiedName, renderSchema, type Statement } from '../database/sql.ts';
import type { Mode, TableDeclaration, TableName } from './declaration.ts';
import type { PolicyFacts, TableFacts } from './facts.ts';
import { giveBackOwnership, grantRuntime, type PreviousState, stateOf, takeOwnership } from './ownership.ts';
import { type Policy, policiesOf, policyNames, replacePolicies } from './policy.ts';
import { shadowOfPolicies } from './saved-policies.ts';

/** A protected table as the plan sees it: what it declares, and what `table_modes` remembers of it. */
export interface KnownTable {
  readonly declaration: TableDeclaration;
  readonly mode?: Mode;
  readonly previous?: PreviousState;
  /** Policies that the declaration does not give (a kernel table's own). */
  readonly savedPolicies?: readonly PolicyFacts[];
  readonly keepOwner?: boolean;
  /** Other tables of the same schema have a way back too. */
  readonly othersInSchema?: boolean;
}

export interface ModeOptions {
  /**
   * The owning login keeps the table: row-level security is forced upon it. For applications that migrate as they run.
   * Stays so until the table is given back with `restoreOwner`.
   */
  readonly keepOwner?: boolean;
  /** `off`: give owner, grants and flags back and take the policies away. */
  readonly restoreOwner?: boolean;
  /** The kernel's schema. Default `tenantry`. */
  readonly schema?: string;
}

/**
 * Every statement that brings one table with its partitions into a mode, to be run in one transaction: so a table is
 * wholly in one mode or in the other, whatever kills the process in between. Pure; running it again changes nothing.
 */
export function planMode(facts: TableFacts, known: KnownTable, mode: Mode, options: ModeOptions = {}): Statement[] {
  const { schema = 'tenantry' } = options;
  // a kernel table has no owner before ours, and must never be without its policies
  const kernel = facts.schema === schema;
  const restoreOwner = options.restoreOwner === true && !kernel;
  const keepOwner = !kernel && (options.keepOwner === true || known.keepOwner === true);
  const statements =
    mode === 'off'
      ? planOff(facts, known, restoreOwner)
      : [
          ...(kernel
            ? [] // a kernel table: its migration has granted what is needed
            : [...(keepOwner ? [] : takeOwnership(facts, known.declaration)), ...grantRuntime(facts)]),
          ...putPolicies(facts, known, mode),
          ...relationsOf(facts).map((relation) => ({
            text: `alter table ${qualifiedName(relation.schema, relation.table)} enable row level security, ${keepOwner ? 'force' : 'no force'} row level security`,
            purpose: keepOwner ? 'bind the owner too' : 'bind everybody but the owner',
          })),
        ];
  const rendered = [...statements, rememberMode(facts, known, mode, { forget: restoreOwner || kernel, keepOwner })];
  return rendered.map(({ text, ...rest }) => ({ ...rest, text: renderSchema(text, schema) }));
}

function planOff(facts: TableFacts, known: KnownTable, restoreOwner: boolean): Statement[] {
  const { previous } = known;
  if (restoreOwner) {
    const dropped = relationsOf(facts).flatMap((relation) => replacePolicies(relation, [], ours(known)));
    return [
      ...dropped,
      ...(previous === undefined ? disable(facts) : giveBackOwnership(facts, previous, known.othersInSchema !== true)),
    ];
  }
  // a table that had row-level security of its own keeps it, without our policies in it
  if (previous?.rowSecurity === true) {
    return relationsOf(facts).flatMap((relation) => replacePolicies(relation, [], ours(known)));
  }
  return [...putPolicies(facts, known, 'enforced'), ...disable(facts)];
}

const disable = (facts: TableFacts): Statement[] =>
  relationsOf(facts).map((relation) => ({
    text: `alter table ${qualifiedName(relation.schema, relation.table)} disable row level security, no force row level security`,
    purpose: 'policies stay and do not apply',
  }));

function putPolicies(facts: TableFacts, known: KnownTable, mode: 'shadow' | 'enforced'): Statement[] {
  const { declaration, savedPolicies } = known;
  let policies: Policy[];
  if (savedPolicies === undefined) {
    policies = narrowAccess(policiesOf(declaration, { mode }), known.previous ?? stateOf(facts));
  } else {
    policies = mode === 'shadow' ? shadowOfPolicies(savedPolicies, declaration) : savedPolicies.map(asPolicy);
  }
  return relationsOf(facts).flatMap((relation) => replacePolicies(relation, policies, ours(known)));
}

/**
 * Where the application had row-level security in force, our access policy must not open what that keeps shut. It opens
 * for the former owner alone, whom nothing bound until now.
 */
function narrowAccess(policies: Policy[], { rowSecurity, forced, owner }: PreviousState): Policy[] {
  if (!rowSecurity) return policies;
  return policies.flatMap((policy) => {
    if (policy.name !== 'tenantry_access') return [policy];
    return forced ? [] : [{ ...policy, roles: [owner] }];
  });
}

/** The table and everything below it: a partition can be named in a query, and then its own policies count. */
const relationsOf = (facts: TableFacts): TableName[] => [facts, ...facts.leaves];

const ours = ({ savedPolicies = [] }: KnownTable): string[] => [
  ...new Set([...policyNames, ...savedPolicies.map(({ name }) => name)]),
];

const asPolicy = ({ using, check, ...rest }: PolicyFacts): Policy => ({
  ...rest,
  ...(using === null ? {} : { using }),
  ...(check === null ? {} : { check }),
});

function rememberMode(
  facts: TableFacts,
  { declaration, previous, savedPolicies }: KnownTable,
  mode: Mode,
  { forget, keepOwner }: { forget: boolean; keepOwner: boolean },
): Statement {
  const { column, key, owner } = declaration;
  const text = (value: string | undefined): string => (value === undefined ? 'null' : literal(value));
  const json = (value: unknown): string => (value === undefined ? 'null' : `${literal(JSON.stringify(value))}::jsonb`);
  const state = forget ? undefined : (previous ?? (mode === 'off' ? undefined : stateOf(facts)));
  const since = (name: 'shadow_since' | 'enforced_since', when: Mode): string =>
    mode === when
      ? `${name} = case when m.mode = '${when}' then coalesce(m.${name}, now()) else now() end`
      : `${name} = m.${name}`;
  return {
    text: `insert into tenantry.table_modes as m (table_schema, table_name, tenant_column, key_type, owner_column, read_all_permission,
  mode, shadow_since, enforced_since, keep_owner, previous_owner, previous_state, saved_policies)
values (${literal(facts.schema)}, ${literal(facts.table)}, ${literal(column)}, ${text(key.kind === 'key' ? key.type : undefined)},
  ${text(owner?.column)}, ${text(owner?.readAll)}, '${mode}', ${mode === 'shadow' ? 'now()' : 'null'}, ${mode === 'enforced' ? 'now()' : 'null'},
  ${keepOwner && !forget}, ${text(state?.owner)}, ${json(state)}, ${json(savedPolicies)})
on conflict (table_schema, table_name) do update set
  tenant_column = excluded.tenant_column, key_type = excluded.key_type, owner_column = excluded.owner_column,
  read_all_permission = excluded.read_all_permission, keep_owner = excluded.keep_owner,
  previous_owner = excluded.previous_owner, previous_state = excluded.previous_state, saved_policies = excluded.saved_policies,
  mode = excluded.mode, mode_since = case when m.mode = excluded.mode then m.mode_since else now() end,
  ${since('shadow_since', 'shadow')}, ${since('enforced_since', 'enforced')}`,
    purpose: `remember that ${facts.schema}.${facts.table} is ${mode}`,
  };
}

/** The former owner needs CREATE on the schema for a moment when it has none: an owner may be given a table only then. */
export function lendCreate(schema: string, role: string, statements: readonly Statement[]): Statement[] {
  return [
    { text: `grant create on schema ${ident(schema)} to ${ident(role)}`, purpose: 'needed to give the table back' },
    ...statements,
    { text: `revoke create on schema ${ident(schema)} from ${ident(role)}`, purpose: 'needed no longer' },
  ];
}
