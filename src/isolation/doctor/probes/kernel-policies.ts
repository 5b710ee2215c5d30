import { type Queryable, renderSchema } from '../../../database/sql.ts';
import { migrationFiles } from '../../../generated/migrations.ts';
import type { CheckRow } from '../finding.ts';
import type { Probe } from './probe.ts';

/** A policy of Tenantry's own tables, as far as its text and the catalogue can be compared. */
export interface KernelPolicy {
  readonly table: string;
  readonly policy: string;
  /** Kind, command and roles, and the outline of its conditions: see {@link outlineOf}. */
  readonly shape: string;
}

const statement =
  /^\s*create policy (\w+) on tenantry\.(\w+)(?: as (restrictive|permissive))?(?: for (\w+))?(?: to (\w+))?([^;]*);/gim;

type Optional = string | undefined;
type Made = [
  whole: string,
  policy: string,
  table: string,
  kind: Optional,
  command: Optional,
  role: Optional,
  rest: string,
];

/** The policies that the migrations leave behind. Pure. */
export function kernelPolicies(files: Readonly<Record<string, string>> = migrationFiles): KernelPolicy[] {
  const made = new Map<string, KernelPolicy>();
  const ups = Object.entries(files).filter(([file]) => file.endsWith('.up.sql'));
  for (const [, text] of ups.sort(([a], [b]) => a.localeCompare(b))) {
    for (const match of text.replace(/--.*$/gm, '').matchAll(statement)) {
      const [, policy, table, kind = 'permissive', command = 'all', role = 'public', rest] = match as unknown as Made;
      made.set(`${table}.${policy}`, { table, policy, shape: shapeOf(kind, command, role, rest) });
    }
  }
  return [...made.values()];
}

/** Compares what the migrations made with what is there. Pure. */
export function policyDrift(
  schema: string,
  expected: readonly KernelPolicy[],
  present: readonly KernelPolicy[],
): CheckRow[] {
  const rows: CheckRow[] = [];
  const report = ({ table, policy }: KernelPolicy, detail: string, fix: string): void => {
    const object = `${schema}.${table}`;
    rows.push({
      object,
      level: null,
      detail: `policy ${policy} ${detail}`,
      fix,
      statement: null,
      key: `${object}:${policy}`,
    });
  };
  const same = (a: KernelPolicy) => (b: KernelPolicy) => a.table === b.table && a.policy === b.policy;
  const restore = 'Restore it as the migration has it: tenantry migrate up --sql prints it on an empty database.';
  for (const policy of expected) {
    const found = present.find(same(policy));
    if (found === undefined) report(policy, 'is missing', restore);
    else if (found.shape !== policy.shape) report(policy, `is not as Tenantry made it: ${found.shape}`, restore);
  }
  for (const policy of present) {
    if (expected.some(same(policy))) continue;
    report(
      policy,
      'is not of Tenantry: it widens or narrows who sees what',
      `drop policy ${policy.policy} on ${schema}.${policy.table}`,
    );
  }
  return rows;
}

export const kernelPoliciesProbe: Probe = async ({ app, schema, ready }) => {
  if (!ready) return { skipped: `the schema ${schema} is missing or outdated` };
  const { policies, switched } = await presentPolicies(app, schema);
  // a kernel table that has modes carries the policies of its mode
  const own = (policy: KernelPolicy): boolean => !switched.includes(policy.table);
  return policyDrift(schema, kernelPolicies().filter(own), policies.filter(own));
};

const functions = new Set(
  Object.values(migrationFiles).flatMap((text) =>
    [...text.matchAll(/\btenantry\.(\w+)\(/g)].map((match) => String(match[1])),
  ),
);

/**
 * What survives the way through the parser of the server: the kernel's functions that are called and the words that join
 * conditions, in order. A dropped condition, an `or`, a `true` change it; spaces, casts and parentheses do not.
 */
export function outlineOf(expression: string): string {
  return [...expression.toLowerCase().matchAll(/\b(and|or|not|exists|true|false)\b|(\w+)\(/g)]
    .map(([, word, call]) => word ?? (functions.has(String(call)) ? call : undefined))
    .filter((part) => part !== undefined)
    .join(' ');
}

const shapeOf = (kind: string, command: string, roles: string, conditions: string): string =>
  `${kind} for ${command} to ${roles}: ${outlineOf(conditions)}`.toLowerCase();

async function presentPolicies(
  app: Queryable,
  schema: string,
): Promise<{ policies: KernelPolicy[]; switched: readonly string[] }> {
  const { rows } = await app.query<{
    table: string;
    policy: string;
    kind: string;
    command: string;
    roles: string;
    conditions: string;
    switched: boolean;
  }>(
    renderSchema(
      `select p.tablename as "table", p.policyname as policy, p.permissive as kind, p.cmd as command,
              pg_catalog.array_to_string(p.roles, ',') as roles, pg_catalog.concat_ws(' ', p.qual, p.with_check) as conditions,
              coalesce(t.managed, false) as switched
       from pg_catalog.pg_class k
       join pg_catalog.pg_namespace n on n.oid = k.relnamespace
       join pg_catalog.pg_policies p on p.schemaname = n.nspname
       join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = p.tablename
       left join tenantry.protected_tables() t on t.relation = c.oid
       where k.oid = 'tenantry.migrations'::pg_catalog.regclass
       order by 1, 2`,
      schema,
    ),
  );
  return {
    policies: rows.map(({ table, policy, kind, command, roles, conditions }) => ({
      table,
      policy,
      shape: shapeOf(kind, command, roles, conditions),
    })),
    switched: rows.filter(({ switched }) => switched).map(({ table }) => table),
  };
}
