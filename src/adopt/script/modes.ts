import { literal, type Queryable, renderSchema, type Statement } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { TableDeclaration } from '../../isolation/declaration.ts';
import { readTableFacts, type TableFacts } from '../../isolation/facts.ts';
import { stateOf } from '../../isolation/ownership.ts';
import { type KnownTable, planMode } from '../../isolation/plan-mode.ts';
import { policyDigest, readRegistered } from '../../isolation/registry.ts';
import type { Plan, TablePlan } from '../plan-types.ts';

/** What the isolation engine would run for the mode steps of a plan, by step id. */
export type ModeStatements = ReadonlyMap<string, readonly Statement[]>;

/** Reads each table as the isolation engine does, and asks it for its statements; changes nothing. */
export async function readModeStatements(db: Queryable, plan: Plan, schema: string): Promise<ModeStatements> {
  const statements = new Map<string, readonly Statement[]>();
  const { rows } = await db.query<{ roles: boolean }>(
    `select pg_catalog.to_regrole('tenantry_owner') is not null and pg_catalog.to_regrole('tenantry_app') is not null as roles`,
  );
  if (rows[0]?.roles !== true)
    throw new TenantryError(
      'TNT_SCHEMA_MISSING',
      'The statements name the roles of Tenantry, and this server has none of them yet.',
    );
  for (const step of plan.steps) {
    const table = plan.tables.find(({ table: name }) => name === step.table);
    if (step.kind !== 'mode' || table === undefined) continue;
    const name = { schema: table.schema, table: table.name };
    const facts = await readTableFacts(db, name);
    // before an adoption the kernel's schema may be missing, and nothing is registered
    const known = (await isThere(db, schema)) ? await readRegistered(db, schema, name) : undefined;
    statements.set(step.id, [...modeStatements(plan, table, step.mode, facts, known, schema), digest(table, schema)]);
  }
  return statements;
}

function modeStatements(
  plan: Plan,
  table: TablePlan,
  mode: 'shadow' | 'enforced',
  facts: TableFacts,
  registered: KnownTable | undefined,
  schema: string,
): Statement[] {
  const declaration: TableDeclaration = registered?.declaration ?? {
    schema: table.schema,
    table: table.name,
    column: plan.column,
    key: { kind: 'uuid' },
  };
  const known: KnownTable = { ...registered, declaration };
  if (mode === 'shadow') return planMode(facts, known, mode, { schema });
  return planMode(afterShadow(facts), { ...known, previous: known.previous ?? stateOf(facts) }, mode, { schema });
}

/** As shadow leaves the table: of tenantry_owner, in a schema that both roles may use. */
function afterShadow(facts: TableFacts): TableFacts {
  const owner = 'tenantry_owner';
  return {
    ...facts,
    owner,
    leaves: facts.leaves.map((leaf) => ({ ...leaf, owner })),
    schemaRights: { usage: true, create: true, runtimeUsage: true },
  };
}

/** Taken last, so that a later change of the policies by somebody else is seen. */
function digest({ schema: place, name }: TablePlan, schema: string): Statement {
  const relation = "pg_catalog.to_regclass(pg_catalog.format('%I.%I', m.table_schema, m.table_name))";
  return {
    purpose: 'the policies as they are now: a later change of them is seen',
    text: renderSchema(
      `update tenantry.table_modes m set policy_digest = ${policyDigest(relation)}
where m.table_schema = ${literal(place)} and m.table_name = ${literal(name)}`,
      schema,
    ),
  };
}

async function isThere(db: Queryable, schema: string): Promise<boolean> {
  const { rows } = await db.query<{ there: boolean }>('select to_regclass($1) is not null as there', [
    renderSchema('tenantry.table_modes', schema),
  ]);
  return rows[0]?.there === true;
}
