import type { PoolLike } from '../../database/kernel.ts';
import { literal, type Queryable, type Row, renderSchema, type Statement } from '../../database/sql.ts';
import { type Phase, type Plan, phases } from '../plan-types.ts';
import { organizationKey } from '../key-text.ts';
import type { PreflightFinding } from '../preflight.ts';
import type { RunRow } from '../run/state.ts';
import { withoutTransactionControl } from './perform.ts';
import { createHookState, type HookState } from './queries.ts';
import type { HookContext, HookEntry, HookMoment, HookOrganization } from './types.ts';

/** What one hook said that it would do. */
export interface HookReport {
  readonly name: string;
  readonly moment: HookMoment;
  /** Slug of the organization that it was rehearsed with. */
  readonly organization: string | null;
  readonly outcome: 'would run' | 'would fail';
  readonly messages: readonly string[];
  /** What a person would be asked. */
  readonly questions: readonly string[];
  readonly error?: string;
}

export interface DryRun {
  /** What preflight found; none for a run that is open. */
  readonly findings: readonly PreflightFinding[];
  readonly phases: readonly {
    readonly phase: Phase;
    /** Of the steps that are open. */
    readonly statements: readonly Statement[];
    /** In their order: before the statements and after them. */
    readonly hooks: readonly HookReport[];
  }[];
}

export interface DryRunInput {
  readonly pool: PoolLike;
  readonly schema: string;
  readonly plan: Plan;
  /** The run that is open; the plan is its plan then. */
  readonly run: RunRow | undefined;
  /** Steps that are done. */
  readonly done: ReadonlySet<string>;
  readonly entries: readonly HookEntry[];
  readonly to: Phase;
}

/** Most organizations that a hook is rehearsed with. */
const samples = 3;

/** Rehearses the hooks in one transaction that is rolled back; each in a savepoint, so that one that fails hides no other. */
export async function runDry({
  pool,
  schema,
  plan,
  run,
  done,
  entries,
  to,
}: DryRunInput): Promise<Pick<DryRun, 'phases'>> {
  const state = createHookState(schema);
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('set local lock_timeout = 1000');
    const ran = new Set(run === undefined ? [] : (await state.selectDone(client, run.id)).map(({ name }) => name));
    const wanted = phases.slice(0, phases.indexOf(to) + 1);
    const result: DryRun['phases'][number][] = [];
    for (const phase of wanted) {
      const hooks: HookReport[] = [];
      const at = (moment: HookMoment): HookEntry[] =>
        entries.filter((entry) => entry.moment === moment && entry.phase === phase);
      const steps = plan.steps.filter((step) => step.phase === phase && !done.has(step.id));
      const begun = run !== undefined && (phase === 'preflight' || phases.indexOf(phase) <= phases.indexOf(run.phase));
      if (!begun)
        for (const entry of at('before'))
          if (!ran.has(entry.name)) hooks.push(await rehearse(client, entry, phase, null));
      for (const entry of at('organization')) {
        for (const organization of await sampleOf(client, state, schema, plan, run, entry))
          hooks.push(await rehearse(client, entry, phase, organization));
      }
      for (const entry of at('after')) if (!ran.has(entry.name)) hooks.push(await rehearse(client, entry, phase, null));
      const statements = steps.flatMap((step) => step.up);
      if (statements.length > 0 || hooks.length > 0) result.push({ phase, statements, hooks });
    }
    return { phases: result };
  } finally {
    await client.query('rollback').catch(() => undefined);
    client.release(true);
  }
}

async function rehearse(
  tx: Queryable,
  entry: HookEntry,
  phase: Phase,
  organization: HookOrganization | null,
): Promise<HookReport> {
  const messages: string[] = [];
  const questions: string[] = entry.confirm === undefined ? [] : [entry.confirm];
  const report = {
    name: entry.name,
    moment: entry.moment,
    organization: organization?.slug ?? null,
    messages,
    questions,
  };
  await tx.query('savepoint tenantry_hook');
  try {
    await entry.run({
      tx: withoutTransactionControl(tx),
      dryRun: true,
      phase,
      organization,
      log: (message) => void messages.push(message),
      reveal() {},
      async confirm(question) {
        questions.push(question);
      },
    } satisfies HookContext);
    await tx.query('release savepoint tenantry_hook');
    return { ...report, outcome: 'would run' };
  } catch (error) {
    await tx.query('rollback to savepoint tenantry_hook');
    return { ...report, outcome: 'would fail', error: error instanceof Error ? error.message : String(error) };
  }
}

/** Organizations that are there and wait for the hook; before there are any, some are made of the first rows, to be rolled back. */
async function sampleOf(
  tx: Queryable,
  state: HookState,
  schema: string,
  plan: Plan,
  run: RunRow | undefined,
  entry: HookEntry,
): Promise<HookOrganization[]> {
  if (run !== undefined && run.phase !== 'preflight') return state.selectPending(tx, run.id, entry.name, samples);
  const rows = firstRows(plan);
  if (rows === undefined) return [];
  const made = await tx.query<Row & { id: string }>(
    renderSchema(
      `select tenantry.adopt_organization(r.key, r.name)::text as id from (${rows} limit ${samples}) r (key, name)`,
      schema,
    ),
  );
  return state.selectOrganizations(
    tx,
    made.rows.map(({ id }) => id),
  );
}

function firstRows({ constant, root, mapping, keys }: Plan): string | undefined {
  if (constant !== null) return `select ${literal(constant.key)}, ${literal(constant.name)}`;
  if (mapping !== null) return `select q.key::text, null::text from (${mapping.query}) q`;
  if (root === null) return undefined;
  const name = root.nameColumn === null ? 'null::text' : `t."${root.nameColumn.replaceAll('"', '""')}"::text`;
  return `select ${organizationKey('t', keys[root.table] ?? [])}, ${name} from ${root.table} t`;
}
