import { translateDatabaseError } from '../database/database-error.ts';
import type { PoolLike } from '../database/kernel.ts';
import { type LockOptions, withLockRetry } from '../database/locks.ts';
import { type Queryable, type Row, renderSchema, type Statement } from '../database/sql.ts';
import { TenantryError } from '../errors.ts';
import type { Mode, OwnerRule, TableName } from './declaration.ts';
import { declare } from './declare.ts';
import { readTableFacts, type TableFacts } from './facts.ts';
import { lendCreate, type ModeOptions, planMode } from './plan-mode.ts';
import { type RegisteredTable, readRegistered, recordPolicyDigest } from './registry.ts';

export interface SwitchOptions extends Omit<ModeOptions, 'schema'>, LockOptions {
  /** For a table that Tenantry does not know yet: its tenant column. Default `tenant_id`. */
  readonly column?: string;
  readonly owner?: OwnerRule;
}

export interface SwitchResult {
  readonly table: string;
  readonly from: Mode;
  readonly to: Mode;
  /** What was executed, in one transaction. */
  readonly statements: readonly Statement[];
}

/** Runs before the statements, in their transaction; throws to refuse. */
export type SwitchGuard = (tx: Queryable, known: RegisteredTable | undefined) => Promise<void>;

/**
 * Brings one table into a mode in one transaction, under a lock timeout with retries.
 *
 * @throws TNT_TABLE_UNKNOWN, TNT_TABLE_NOT_PROTECTED, TNT_LOCK_TIMEOUT, TNT_PRIVILEGE_MISSING
 */
export async function switchMode(
  admin: PoolLike,
  schema: string,
  name: TableName,
  mode: Mode,
  { guard, ...options }: SwitchOptions & { guard?: SwitchGuard } = {},
): Promise<SwitchResult> {
  try {
    return await withLockRetry(
      admin,
      async (tx) => {
        // unqualified names in policies and in what the catalogue prints mean the server's own, whatever the login's path is
        await tx.query('set local search_path = pg_catalog, pg_temp');
        const facts = await readTableFacts(tx, name);
        const registered = await readRegistered(tx, schema, name);
        await guard?.(tx, registered);
        const known = knownTable(facts, registered, schema, options);
        const planned = planMode(facts, known, mode, { ...options, schema });
        const statements = options.restoreOwner === true ? await lend(tx, facts, registered, planned) : planned;
        // one message: the exclusive lock is held for one round trip and not for one each
        await tx.query(statements.map(({ text }) => text).join(';\n'));
        await recordPolicyDigest(tx, schema, name);
        return { table: `${name.schema}.${name.table}`, from: registered?.mode ?? 'off', to: mode, statements };
      },
      options,
    );
  } catch (error) {
    throw translateDatabaseError(error);
  }
}

function knownTable(
  facts: TableFacts,
  registered: RegisteredTable | undefined,
  schema: string,
  options: SwitchOptions,
): RegisteredTable | Pick<RegisteredTable, 'declaration'> {
  if (registered === undefined) return { declaration: declare(facts, options) };
  const { declaration } = registered;
  if (!facts.columns.some(({ name }) => name === declaration.column)) {
    throw new TenantryError(
      'TNT_TABLE_DRIFTED',
      `${facts.schema}.${facts.table} no longer has its tenant column "${declaration.column}".`,
    );
  }
  // a kernel table: its policies are its migrations', as they stand now; in shadow, as they stood when it began
  if (facts.schema === schema && registered.mode !== 'shadow') {
    return { ...registered, savedPolicies: facts.policies };
  }
  return registered;
}

/** A role can be given a table only where it may create one. */
async function lend(
  tx: Queryable,
  facts: TableFacts,
  registered: RegisteredTable | undefined,
  statements: Statement[],
): Promise<Statement[]> {
  const former = registered?.previous?.owner;
  if (former === undefined) return statements;
  const { rows } = await tx.query<Row & { may: boolean }>(
    'select pg_catalog.has_schema_privilege($1::name, $2::text, $3::text) as may',
    [former, facts.schema, 'create'],
  );
  return rows.every(({ may }) => may) ? statements : lendCreate(facts.schema, former, statements);
}

/** Refuses while shadow has counted statements that enforcement would change. */
export function shadowGuard(schema: string, name: TableName, since: Date | undefined): SwitchGuard {
  return async (tx, known) => {
    const from = since ?? rehearsedSince(known);
    if (from === undefined) return;
    const { rows } = await tx.query<Row & { status: string; statements: number; occurrences: number }>(
      renderSchema(
        `select status, count(*)::int as statements, sum(occurrences)::int8::float8 as occurrences from tenantry.shadow_misses
         where table_schema = $1::text and table_name = $2::text and status in ('confirmed', 'unconfirmed')
           and last_seen >= $3::timestamptz group by status order by status`,
        schema,
      ),
      [name.schema, name.table, from],
    );
    if (rows.length === 0) return;
    const counts = rows.map(({ status, statements }) => `${statements} ${status}`).join(', ');
    throw new TenantryError(
      'TNT_SHADOW_NOT_CLEAN',
      `${name.schema}.${name.table}: enforcement would change statements that shadow has seen (${counts}).`,
      { details: { table: `${name.schema}.${name.table}`, since: from.toISOString(), misses: rows } },
    );
  };
}

/** When the rehearsal began that no enforcement has ended yet; switching shadow off does not make its findings untrue. */
function rehearsedSince(known: RegisteredTable | undefined): Date | undefined {
  if (known?.shadowSince === undefined || known.mode === 'enforced') return undefined;
  const { shadowSince, enforcedSince } = known;
  return enforcedSince === undefined || shadowSince > enforcedSince ? shadowSince : undefined;
}
