import type { Mode, Operation } from './declaration.ts';
import type { LoginFacts, RowFacts } from './explain-facts.ts';
import type { ExplainRequest, Finding } from './explanation.ts';
import type { TableFacts } from './facts.ts';
import type { RegisteredTable } from './registry.ts';

/** Whether the row is there, and whose it is. */
export function rowFindings(
  facts: TableFacts,
  known: RegisteredTable | undefined,
  row: RowFacts | undefined,
  { context }: ExplainRequest,
): Finding[] {
  if (row === undefined) {
    return [
      {
        check: 'row',
        passes: false,
        sentence: `${facts.schema}.${facts.table} has no such row${facts.forced ? ', as far as this login sees, which FORCE binds too' : ', for anybody'}.`,
      },
    ];
  }
  const findings: Finding[] = [{ check: 'row', passes: true, sentence: 'The row exists.' }];
  if (known === undefined) return findings;
  const { key, owner } = known.declaration;
  const asked = key.kind === 'uuid' ? context.tenantId : (context.tenantKey ?? context.tenantId);
  const same = row.tenant !== null && row.tenant === asked;
  const sentence =
    row.tenant === null
      ? 'The row belongs to no tenant.'
      : asked === undefined
        ? `The row belongs to tenant ${row.tenant}, and the context names none.`
        : same
          ? `The row belongs to the context's tenant, ${asked}.`
          : `The row belongs to tenant ${row.tenant}, the context is tenant ${asked}.`;
  findings.push({ check: 'tenant', passes: same, sentence });
  if (owner !== undefined) {
    const mine = row.ownedBy === null || row.ownedBy === context.userId;
    findings.push({
      check: 'owner',
      passes: mine,
      sentence:
        row.ownedBy === null
          ? 'The row is nobody’s in particular.'
          : mine
            ? 'The row is the user’s own.'
            : `The row is user ${row.ownedBy}’s${owner.readAll === undefined ? '' : `; only the permission ${owner.readAll} reads past that`}.`,
    });
  }
  return findings;
}

/** What the login may do, and whether policies bind it. */
export function roleFindings(facts: TableFacts, role: LoginFacts, operation: Operation): Finding[] {
  const table = `${facts.schema}.${facts.table}`;
  return [
    {
      check: 'grant',
      passes: role.granted,
      sentence: role.granted
        ? `${role.name} may ${operation} on ${table}.`
        : `${role.name} has no right to ${operation} on ${table}, or may not use its schema.`,
    },
    {
      check: 'bypass',
      passes: !role.bypasses,
      sentence: role.bypasses
        ? `No policy binds ${role.name}: it ${role.bypassReason}.`
        : `Policies bind ${role.name}.`,
    },
  ];
}

export function modeFinding(facts: TableFacts, known: RegisteredTable | undefined): Finding {
  const mode = known?.mode ?? 'unknown';
  const sentences: Record<Mode | 'unknown', string> = {
    off: 'The table is off: its policies do not apply.',
    shadow: 'The table is in shadow: nothing is hidden or refused, what would be is counted.',
    enforced: 'The table is enforced.',
    unknown: 'The table is not protected by Tenantry.',
  };
  // a table that had row-level security of its own keeps it when ours is off
  const wanted = mode !== 'off' || known?.previous?.rowSecurity === true;
  const drifted = mode !== 'unknown' && facts.rowSecurity !== wanted;
  return {
    check: 'mode',
    passes: facts.rowSecurity,
    sentence: drifted
      ? `${sentences[mode]} But row-level security is ${facts.rowSecurity ? 'enabled' : 'disabled'}: run tenantry doctor.`
      : sentences[mode],
  };
}

/** PostgreSQL docs, CREATE POLICY, "Policies Applied by Command Type"; a written row is judged as it stands now. */
export function policyFindings(facts: TableFacts, row: RowFacts, operation: Operation): Finding[] {
  return facts.policies
    .filter(
      ({ command }) => command === 'all' || command === operation || (command === 'select' && operation !== 'insert'),
    )
    .flatMap((policy) => {
      const kind = operation === 'insert' ? (policy.check === null ? 'using' : 'check') : 'using';
      const passes = row.passes.get(`${policy.name} ${kind}`);
      if (passes === undefined) return [];
      const sentence = `Policy ${policy.name} (${policy.permissive ? 'permissive' : 'restrictive'}) ${passes ? 'lets the row through' : 'does not let the row through'}.`;
      return [{ check: 'policy' as const, passes, sentence, policy: policy.name }];
    });
}
