import { ident, literal } from '../../database/sql.ts';
import { stableText } from '../key-text.ts';
import type { TenantNode } from '../tenant-sql.ts';
import type { OrphanDecision, TableRule } from './types.ts';

/** The key of a row as the server writes a row value: `(17)`, `(17,"a b")`. No two keys look the same, and one has the same text in every session. */
export function rowText(alias: string, { primaryKey = [], rule }: Pick<TenantNode, 'primaryKey' | 'rule'>): string {
  if (primaryKey.length === 0) return `${alias}.ctid::text`;
  const columns = primaryKey.map((column, i) => {
    const value = `${alias}.${ident(column)}`;
    const text = stableText(value, rule?.keyTypes[i] ?? 'text');
    return text === `${value}::text` ? value : text;
  });
  return `row(${columns.join(', ')})::text`;
}

/** `(key) = any ('{…}'::text[])`, hashed by the server when there are many. */
export function keyIn(expression: string, keys: readonly string[]): string {
  return `${expression} = any (array[${keys.map(literal).join(', ')}]::text[])`;
}

/** True when anything but the ways of `via` decides about a row's tenant. */
export function isRuled(rule: TableRule | undefined): rule is TableRule {
  return (
    rule !== undefined &&
    (rule.rows.length > 0 ||
      rule.orphans.startsWith('organization:') ||
      rule.ways.some((way) => way.decision === 'quarantine'))
  );
}

/** True when a row of the table may stay without a tenant by a decision. */
export function mayQuarantine(rule: TableRule | undefined): boolean {
  return (
    rule !== undefined &&
    (rule.usedBy.length > 0 ||
      rule.orphans === 'quarantine' ||
      rule.rows.some((row) => row.way === null) ||
      rule.ways.some((way) => way.decision === 'quarantine'))
  );
}

export function organizationSlug(decision: OrphanDecision): string | undefined {
  return decision.startsWith('organization:') ? decision.slice('organization:'.length) : undefined;
}
