import { type Phase, type Plan, phases } from '../plan-types.ts';

/** What a phase does, and what an application that runs meanwhile sees of it. */
export interface PhaseNote {
  readonly phase: Phase;
  readonly does: string;
  readonly notices: string;
}

const rooted: readonly PhaseNote[] = [
  {
    phase: 'preflight',
    does: 'Reads only: rights, keys, triggers, sizes, rows that join two tenants or have none. Stops here while something is open.',
    notices: 'Nothing.',
  },
  {
    phase: 'expand',
    does: 'The column, empty; triggers that fill it for every new and changed row, parents first; the organizations.',
    notices: 'A named prepared SELECT * fails once and must be prepared again, as most drivers do by themselves.',
  },
  {
    phase: 'backfill',
    does: 'The column of the rows that were there, in short transactions, parents first. Can be paused and throttled.',
    notices: 'A row is held for at most some 100 ms; the application is never a deadlock’s victim.',
  },
  {
    phase: 'verify',
    does: 'Every row against its parents, on every key.',
    notices: 'Nothing.',
  },
  {
    phase: 'tighten',
    does: 'Indexes made concurrently, NOT NULL by a validated check, the foreign key to organizations.',
    notices: 'Nothing.',
  },
  {
    phase: 'shadow',
    does: 'Tables move to tenantry_owner; what enforcement would hide or refuse is counted, statement by statement.',
    notices: 'TRUNCATE and COPY … FROM are refused from here on; everything else answers as before.',
  },
  {
    phase: 'enforced',
    does: 'Policies apply; a reference to another tenant’s row is refused like one to a missing row.',
    notices: 'A statement without a tenant finds nothing. Every row of another tenant is gone from sight.',
  },
  {
    phase: 'contract',
    does: 'By a command of its own, tenantry adopt contract: global unique keys go, where the plan makes them per tenant.',
    notices: 'ON CONFLICT (…) that names such a key is refused. Two tenants may have the same value.',
  },
];

const constantNotes: Partial<Record<Phase, Partial<PhaseNote>>> = {
  expand: {
    does: 'The organization, and the column with its default: PostgreSQL stores it once, so no row is rewritten whatever the size.',
  },
  backfill: { does: 'Nothing to do: the default has answered for every row.', notices: 'Nothing.' },
  verify: { does: 'Nothing to compare: every row has the one organization.' },
};

export interface PhaseRow extends PhaseNote {
  readonly steps: number;
  readonly statements: number;
}

/** The phases of a plan with the number of what they run. A backfill statement runs once for each window of pages. */
export function phaseRows(plan: Plan): PhaseRow[] {
  return phases.flatMap((phase) => {
    const note = rooted.find((one) => one.phase === phase);
    if (note === undefined) return [];
    const steps = plan.steps.filter((step) => step.phase === phase);
    return [
      {
        ...note,
        ...(plan.constant === null ? {} : constantNotes[phase]),
        steps: steps.length,
        statements: steps.reduce((sum, step) => sum + step.up.length, 0),
      },
    ];
  });
}
