import type { TableName } from './declaration.ts';
import type { PolicyFacts } from './facts.ts';
import { type Policy, type ShadowKind, shadowPolicies } from './policy.ts';

/**
 * The shadow form of policies that were written elsewhere (a kernel table's): what they allow together, per operation,
 * inside the counting CASE. The context functions are wrapped, and asked in their form that never raises.
 */
export function shadowOfPolicies(policies: readonly PolicyFacts[], table: TableName): Policy[] {
  return [
    ...shadowPolicies((kind) => neverStrict(allowedBy(policies, kind)), table),
    { name: 'tenantry_access', permissive: true, command: 'all', using: 'true', check: 'true' },
  ];
}

/** PostgreSQL docs, "Row Security Policies": permissive ones are ORed, restrictive ones ANDed, none permissive is none. */
function allowedBy(policies: readonly PolicyFacts[], kind: ShadowKind): string {
  const command = kind === 'written' ? 'update' : kind;
  const checks = kind === 'written' || kind === 'insert';
  const expressions = (permissive: boolean): string[] =>
    policies
      .filter((policy) => policy.permissive === permissive && (policy.command === 'all' || policy.command === command))
      .map(({ using, check }) => `(${(checks ? (check ?? using) : using) ?? 'true'})`);
  const permissive = expressions(true);
  const anyOf = permissive.length === 0 ? 'false' : `(${permissive.join(' or ')})`;
  return [...expressions(false), anyOf].join(' and ');
}

/** The kernel's schema as the catalogue prints it: our session has it in no search_path, so every name carries it. */
const strictCall = /(?:"(?:[^"]|"")+"|\b\w+)\.current_tenant(_key)?\(\)/g;

function neverStrict(expression: string): string {
  return expression.replace(strictCall, (_, key = '') => `(select tenantry.context_tenant${key}())`);
}
