import type { PoolLike } from '../database/kernel.ts';
import type { Queryable } from '../database/sql.ts';
import { withCatalogPath } from './catalog-path.ts';
import type { Mode, Operation } from './declaration.ts';
import { type LoginFacts, readLogin, readRow, type RowFacts, setAskedContext } from './explain-facts.ts';
import { modeFinding, policyFindings, roleFindings, rowFindings } from './explain-findings.ts';
import type { Explanation, ExplainRequest, Finding } from './explanation.ts';
import { parseTableName, type PolicyFacts, readTableFacts, type TableFacts } from './facts.ts';
import { readRegistered } from './registry.ts';
import { readStrictBinding } from './strict-binding.ts';

/**
 * Why a row is or is not reached in a context. Reads the row itself, whosever it is: for the operator's connection.
 *
 * @throws TNT_TABLE_UNKNOWN, TNT_INPUT_INVALID
 */
export async function explainRow(admin: PoolLike, schema: string, request: ExplainRequest): Promise<Explanation> {
  const { operation = 'select', login = 'tenantry_app', context } = request;
  return withCatalogPath(admin, async (tx) => {
    const facts = await readTableFacts(tx, parseTableName(request.table));
    const known = await readRegistered(tx, schema, facts);
    await setAskedContext(tx, context);
    const role = await readLogin(tx, facts, login, operation);
    const unbound = await unboundContext(tx, schema, request);
    const row = await readRow(tx, facts, known, request, unbound === undefined);
    const findings = [...rowFindings(facts, known, row, request), ...roleFindings(facts, role, operation)];
    const policies = row === undefined ? [] : policyFindings(facts, row, operation);
    const mode = known?.mode ?? 'unknown';
    const verdict = verdictOf({ facts, mode, role, row, policies, operation, unbound: unbound !== undefined });
    const all = [...findings, modeFinding(facts, known), ...(unbound === undefined ? [] : [unbound]), ...policies];
    return {
      table: `${facts.schema}.${facts.table}`,
      operation,
      verdict,
      mode,
      findings: all,
      sentences: sentencesOf(verdict, all),
    };
  });
}

/** Under strict binding a statement without a tenant never comes as far as a policy's answer. */
async function unboundContext(
  tx: Queryable,
  schema: string,
  { context }: ExplainRequest,
): Promise<Finding | undefined> {
  if (context.tenantId !== undefined || context.tenantKey !== undefined) return undefined;
  if (!(await readStrictBinding(tx, schema))) return undefined;
  return {
    check: 'context',
    passes: false,
    sentence: 'The context names no tenant, and strict binding makes that an error.',
  };
}

function verdictOf(seen: {
  facts: TableFacts;
  mode: Mode | 'unknown';
  role: LoginFacts;
  row: RowFacts | undefined;
  policies: readonly Finding[];
  operation: Operation;
  unbound: boolean;
}): Explanation['verdict'] {
  const { facts, mode, role, row, policies, operation, unbound } = seen;
  if (!role.granted) return 'refused';
  if (row === undefined) return 'absent';
  if (role.bypasses || !facts.rowSecurity) return 'allowed';
  if (unbound) return mode === 'shadow' ? 'counted' : 'refused';
  if (passAll(facts.policies, policies)) return 'allowed';
  if (mode === 'shadow') return 'counted';
  return operation === 'insert' ? 'refused' : 'hidden';
}

/** Every restrictive one and at least one permissive one, for each command that counts. */
function passAll(policies: readonly PolicyFacts[], findings: readonly Finding[]): boolean {
  const passed = new Map(findings.map(({ policy, passes }) => [policy, passes]));
  const counted = policies.filter(({ name }) => passed.has(name));
  const permissive = counted.filter(({ permissive }) => permissive);
  const commands = new Set(counted.map(({ command }) => command).filter((command) => command !== 'all'));
  const restrictivePass = counted.every(({ permissive, name }) => permissive || passed.get(name) === true);
  const covers = (command: string): boolean =>
    permissive.some(
      (policy) => (policy.command === 'all' || policy.command === command) && passed.get(policy.name) === true,
    );
  return restrictivePass && (commands.size === 0 ? covers('all') : [...commands].every(covers));
}

function sentencesOf(verdict: Explanation['verdict'], findings: readonly Finding[]): string[] {
  const first: Record<Explanation['verdict'], string> = {
    allowed: 'Allowed.',
    hidden: 'Hidden: the statement finds no such row, and no error.',
    refused: 'Refused with an error.',
    counted: 'Allowed in shadow, and counted: enforcement will change it.',
    absent: 'There is no such row.',
  };
  const decisive = findings.filter(({ passes }) => !passes).map(({ sentence }) => sentence);
  return [first[verdict], ...(decisive.length > 0 ? decisive : findings.map(({ sentence }) => sentence))];
}
