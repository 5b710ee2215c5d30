import { ident, literal, qualifiedName, type Statement } from '../database/sql.ts';
import type { TableDeclaration, TableName } from './declaration.ts';
import { policyNames } from './policy.ts';
import type { GrantFacts, LeafFacts, SequenceFacts, TableFacts } from './facts.ts';

const owner = 'tenantry_owner';
const ourNames = new Set<string>(policyNames);
/** What the runtime may do with a protected table. TRUNCATE is not filtered by policies; REFERENCES and TRIGGER reach around them. */
const runtimePrivileges = 'select, insert, update, delete';

/** What a table was like before Tenantry; kept in `table_modes.previous_state`. */
export interface PreviousState {
  readonly owner: string;
  readonly rowSecurity: boolean;
  readonly forced: boolean;
  readonly grants: readonly GrantFacts[];
  readonly leaves: readonly LeafFacts[];
  readonly sequences: readonly SequenceFacts[];
  /** Which of our roles could use the table's schema already. */
  readonly schemaUsage: { readonly owner: boolean; readonly runtime: boolean };
}

export function stateOf(facts: TableFacts): PreviousState {
  const { owner, forced, grants, leaves, sequences, schemaRights } = facts;
  // with policies of ours on it, it is ours that is enabled (a table whose row in table_modes was lost)
  const rowSecurity = facts.rowSecurity && !facts.policies.some(({ name }) => ourNames.has(name));
  return {
    owner,
    rowSecurity,
    forced,
    grants,
    leaves,
    sequences,
    schemaUsage: { owner: schemaRights.usage, runtime: schemaRights.runtimeUsage },
  };
}

/**
 * Moves a table with its partitions to tenantry_owner, because policies do not bind an owner, and gives its former owner
 * what a running application uses. Views and functions stay where they are: so the policies bind them too.
 */
export function takeOwnership(facts: TableFacts, declaration: TableDeclaration): Statement[] {
  const moving = [facts, ...facts.leaves].filter((relation) => relation.owner !== owner);
  const schema = ident(facts.schema);
  const formerOwners = [...new Set(moving.map((relation) => relation.owner))];
  const before: Statement[] = [];
  const after: Statement[] = [];
  // foreign-key checks run as the owner of the table, who must be able to use its schema from now on
  if (!facts.schemaRights.usage) {
    before.push({ text: `grant usage on schema ${schema} to ${owner}`, purpose: 'let the new owner use the schema' });
  }
  if (moving.length > 0 && !facts.schemaRights.create) {
    before.push({ text: `grant create on schema ${schema} to ${owner}`, purpose: 'needed to take ownership' });
    after.push({ text: `revoke create on schema ${schema} from ${owner}`, purpose: 'needed no longer' });
  }
  return [
    ...before,
    ...moving.map((relation) => ({
      text: `alter table ${qualifiedName(relation.schema, relation.table)} owner to ${owner}`,
      purpose: `take ownership from ${relation.owner}`,
    })),
    ...after,
    ...moving.map((relation) => ({
      text: `grant ${runtimePrivileges} on ${qualifiedName(relation.schema, relation.table)} to ${ident(relation.owner)}`,
      purpose: `let ${relation.owner} go on reading and writing`,
    })),
    ...formerOwners.flatMap((former) => [
      ...grantSequences(facts, former),
      ...grantPermissionCheck(declaration, former),
    ]),
  ];
}

/** Rights of the runtime group; on the root alone, because nothing but the root's policies should be in the way of a row. */
export function grantRuntime(facts: TableFacts): Statement[] {
  const table = qualifiedName(facts.schema, facts.table);
  return [
    ...(facts.schemaRights.runtimeUsage
      ? []
      : [
          {
            text: `grant usage on schema ${ident(facts.schema)} to tenantry_app`,
            purpose: 'let the runtime use the schema',
          },
        ]),
    { text: `grant ${runtimePrivileges} on ${table} to tenantry_app`, purpose: 'let the runtime read and write rows' },
    ...grantSequences(facts, 'tenantry_app'),
  ];
}

/**
 * Gives the table back as it was found: owner, grants, row-security flags.
 *
 * @param lastOfSchema no other protected table of the schema needs our roles to use it
 */
export function giveBackOwnership(facts: TableFacts, previous: PreviousState, lastOfSchema: boolean): Statement[] {
  const key = (name: TableName): string => qualifiedName(name.schema, name.table);
  const leaves = new Map(previous.leaves.map((leaf) => [key(leaf), leaf]));
  const sequences = new Map(previous.sequences.map((sequence) => [key(sequence), sequence]));
  return [
    ...giveBack(facts, previous, facts.grants),
    // a partition that is newer than Tenantry: as its root was
    ...facts.leaves.flatMap((leaf) => giveBack(leaf, leaves.get(key(leaf)) ?? previous, leaf.grants)),
    ...facts.sequences.flatMap((sequence) =>
      giveBackGrants(`sequence ${key(sequence)}`, {
        owner: previous.owner,
        before: sequences.get(key(sequence))?.grants ?? [],
        now: sequence.grants,
      }),
    ),
    ...giveBackSchema(facts, previous, lastOfSchema),
  ];
}

/** What this table brought about stays as long as another one needs it, and goes with that one. */
function giveBackSchema({ schema }: TableFacts, { schemaUsage }: PreviousState, lastOfSchema: boolean): Statement[] {
  const granted = [...(schemaUsage.owner ? [] : [owner]), ...(schemaUsage.runtime ? [] : ['tenantry_app'])];
  if (granted.length === 0) return [];
  if (lastOfSchema) {
    return [
      { text: `revoke usage on schema ${ident(schema)} from ${granted.join(', ')}`, purpose: 'needed no longer' },
    ];
  }
  return [
    {
      text: `update tenantry.table_modes set previous_state = previous_state || pg_catalog.jsonb_build_object('schemaUsage', pg_catalog.jsonb_build_object(
  'owner', (previous_state #>> '{schemaUsage,owner}')::boolean and ${schemaUsage.owner}, 'runtime', (previous_state #>> '{schemaUsage,runtime}')::boolean and ${schemaUsage.runtime}))
where table_schema = ${literal(schema)} and previous_state is not null`,
      purpose: 'another table of the schema still needs it',
    },
  ];
}

function giveBack(
  name: TableName,
  previous: Pick<LeafFacts, 'owner' | 'rowSecurity' | 'forced' | 'grants'>,
  now: readonly GrantFacts[],
): Statement[] {
  const table = qualifiedName(name.schema, name.table);
  const { rowSecurity, forced } = previous;
  return [
    ...(previous.owner === owner
      ? []
      : [
          { text: `revoke all on ${table} from ${ident(previous.owner)}`, purpose: 'an owner needs no grant' },
          { text: `alter table ${table} owner to ${ident(previous.owner)}`, purpose: `give back to ${previous.owner}` },
        ]),
    ...giveBackGrants(table, { owner: previous.owner, before: previous.grants, now }),
    {
      text: `alter table ${table} ${rowSecurity ? 'enable' : 'disable'} row level security, ${forced ? 'force' : 'no force'} row level security`,
      purpose: 'row-level security as it was',
    },
  ];
}

interface GrantChange {
  readonly owner: string;
  readonly before: readonly GrantFacts[];
  readonly now: readonly GrantFacts[];
}

function giveBackGrants(object: string, { owner: former, before, now }: GrantChange): Statement[] {
  const had = new Set(before.map(grantKey));
  const has = new Set(now.map(grantKey));
  // the owner's own entries move with the ownership
  const others = ({ grantee }: GrantFacts): boolean => grantee !== former && grantee !== owner;
  return [
    ...now
      .filter((grant) => others(grant) && !had.has(grantKey(grant)))
      .map(({ grantee, privilege }) => ({
        text: `revoke ${privilege} on ${object} from ${role(grantee)}`,
        purpose: 'granted by Tenantry',
      })),
    // what tenantry_owner had been granted became part of its ownership and went with it: the fill triggers of an adoption need it
    ...before
      .filter((grant) => grant.grantee !== former && (grant.grantee === owner || !has.has(grantKey(grant))))
      .map(({ grantee, privilege, grantable }) => ({
        text: `grant ${privilege} on ${object} to ${role(grantee)}${grantable ? ' with grant option' : ''}`,
        purpose: 'granted before Tenantry',
      })),
  ];
}

function grantSequences(facts: TableFacts, grantee: string): Statement[] {
  return facts.sequences.map((sequence) => ({
    text: `grant usage on sequence ${qualifiedName(sequence.schema, sequence.table)} to ${role(grantee)}`,
    purpose: 'let inserts draw numbers',
  }));
}

/** The owner rule asks for a permission inside the policy, which runs as whoever queries. */
function grantPermissionCheck({ owner: rule }: TableDeclaration, grantee: string): Statement[] {
  if (rule?.readAll === undefined) return [];
  return [
    {
      text: `grant execute on function tenantry.caller_can(text), tenantry.caller_permissions() to ${role(grantee)}`,
      purpose: 'the owner rule asks for a permission',
    },
  ];
}

const role = (name: string): string => (name === 'public' ? 'public' : ident(name));
const grantKey = ({ grantee, privilege, grantable }: GrantFacts): string => `${grantee}\0${privilege}\0${grantable}`;
