import { ident, literal, qualifiedName, type Statement } from '../database/sql.ts';
import type { Operation, TableDeclaration, TableName } from './declaration.ts';

/** Every policy name that Tenantry uses on a host table. */
export const policyNames = [
  'tenantry_floor',
  'tenantry_rows',
  'tenantry_access',
  'tenantry_shadow_select',
  'tenantry_shadow_insert',
  'tenantry_shadow_update',
  'tenantry_shadow_delete',
] as const;

/** One policy as `create policy` writes it; the expressions are SQL. */
export interface Policy {
  readonly name: string;
  readonly permissive: boolean;
  readonly command: 'all' | Operation;
  /** Defaults to public. */
  readonly roles?: readonly string[];
  readonly using?: string;
  readonly check?: string;
}

export interface PolicyForm {
  readonly mode: 'shadow' | 'enforced';
  /** The table that misses are counted for; a partition names its root. Default: the declared table. */
  readonly countedAs?: TableName;
}

/**
 * The policies of a protected table: the only place that knows their text, and that assumes a single server (a
 * distributed engine needs one permissive policy with the conditions ANDed, and no sub-select).
 *
 * Enforced: the floor is restrictive and `to public`, so that no other policy and no unlisted role widens it.
 * `current_tenant()` stays unwrapped: as an index condition it runs once per scan and the planner sees its value.
 * Shadow: the same conditions inside a CASE, wrapped there, because nothing makes an index condition of them.
 */
export function policiesOf(declaration: TableDeclaration, { mode, countedAs = declaration }: PolicyForm): Policy[] {
  const access: Policy = { name: 'tenantry_access', permissive: true, command: 'all', using: 'true', check: 'true' };
  const rows = ownerCondition(declaration);
  if (mode === 'shadow') {
    const floor = shadowFloor(declaration);
    return [...shadowPolicies(() => (rows === undefined ? floor : `${floor} and ${rows}`), countedAs), access];
  }
  const floor = enforcedFloor(declaration);
  return [
    { name: 'tenantry_floor', permissive: false, command: 'all', using: floor, check: floor },
    // restrictive as well: a permissive policy of the application's own must not widen whose rows are whose
    ...(rows === undefined
      ? []
      : [{ name: 'tenantry_rows', permissive: false, command: 'all', using: rows, check: rows } as const]),
    access,
  ];
}

/** What a shadow policy looks at; `written` is the row as an UPDATE writes it. */
export type ShadowKind = Operation | 'written';

/** The four restrictive policies that let everything through and count what the condition would not. */
export function shadowPolicies(condition: (kind: ShadowKind) => string, countedAs: TableName): Policy[] {
  const relation = `${literal(qualifiedName(countedAs.schema, countedAs.table))}::pg_catalog.regclass`;
  const counted = (kind: ShadowKind): string => {
    const miss = `(${relation}, '${letters[kind]}')`;
    return `case when ${condition(kind)} then true when (select tenantry.shadow_without_context${miss}) then true else tenantry.shadow_miss${miss} end`;
  };
  const of = (command: Operation, expressions: Pick<Policy, 'using' | 'check'>): Policy => {
    return { name: `tenantry_shadow_${command}`, permissive: false, command, ...expressions };
  };
  return [
    of('select', { using: counted('select') }),
    of('insert', { check: counted('insert') }),
    of('update', { using: counted('update'), check: counted('written') }),
    of('delete', { using: counted('delete') }),
  ];
}

const letters: Readonly<Record<ShadowKind, string>> = {
  select: 'r',
  insert: 'i',
  update: 'u',
  written: 'w',
  delete: 'd',
};

function enforcedFloor({ column, key }: TableDeclaration): string {
  const current = key.kind === 'uuid' ? 'tenantry.current_tenant()' : `tenantry.current_tenant_key()::${key.type}`;
  return `${ident(column)} = ${current}`;
}

const largestOf: Readonly<Record<string, string>> = {
  smallint: '32767',
  integer: '2147483647',
  bigint: '9223372036854775807',
  numeric: '1e30',
};

function shadowFloor({ column, key }: TableDeclaration): string {
  if (key.kind === 'uuid') return `${ident(column)} = (select tenantry.context_tenant())`;
  const text = 'tenantry.context_tenant_key()';
  const largest = largestOf[key.type];
  if (largest === undefined) return `${ident(column)} = (select ${text}::${key.type})`;
  // shadow refuses nothing: a context whose key is no such number is a miss, not an error
  const fits = `case when ${text} ~ '^-?[0-9]{1,30}$' then pg_catalog.abs(${text}::numeric) <= ${largest} else false end`;
  return `${ident(column)} = (select case when ${fits} then ${text}::${key.type} end)`;
}

function ownerCondition({ owner }: TableDeclaration): string | undefined {
  if (owner === undefined) return undefined;
  const column = ident(owner.column);
  // inside an OR nothing is an index condition: wrapped, so that each function runs once and not for each row
  const readAll = owner.readAll === undefined ? '' : ` or (select tenantry.caller_can(${literal(owner.readAll)}))`;
  return `(${column} is null or ${column} = (select tenantry.current_user_id())${readAll})`;
}

/** `create policy …` */
export function createPolicy(target: TableName, policy: Policy): Statement {
  const { name, permissive, command, roles = ['public'], using, check } = policy;
  const to = roles.map((role) => (role === 'public' ? 'public' : ident(role))).join(', ');
  const text =
    `create policy ${ident(name)} on ${qualifiedName(target.schema, target.table)} ` +
    `as ${permissive ? 'permissive' : 'restrictive'} for ${command} to ${to}` +
    (using === undefined ? '' : ` using (${using})`) +
    (check === undefined ? '' : ` with check (${check})`);
  return { text, purpose: `policy ${name}` };
}

/** Replaces whatever policies of ours the table has with the given ones. */
export function replacePolicies(
  target: TableName,
  policies: readonly Policy[],
  existing: readonly string[] = policyNames,
): Statement[] {
  const table = qualifiedName(target.schema, target.table);
  return [
    ...existing.map((name) => ({
      text: `drop policy if exists ${ident(name)} on ${table}`,
      purpose: `replace policy ${name}`,
    })),
    ...policies.map((policy) => createPolicy(target, policy)),
  ];
}
