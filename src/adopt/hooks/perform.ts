import { withLockRetry } from '../../database/locks.ts';
import type { Queryable, Row } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import type { Phase } from '../plan-types.ts';
import { assertGoing, lockOptions, type RunContext } from '../run/steps-run.ts';
import type { HookState } from './queries.ts';
import type { HookContext, HookEntry, HookOrganization } from './types.ts';

/** Asks a person; absent when nobody is there. */
export type Confirm = (question: string) => Promise<boolean> | boolean;

/** What the hooks of one command share. */
export interface HookSession {
  readonly state: HookState;
  readonly confirm: Confirm | undefined;
  /** Questions that were answered with yes. */
  readonly answered: Set<string>;
  /** What is shown when the command ends. */
  readonly revealed: { readonly hook: string; readonly text: string }[];
}

export interface HookCall {
  readonly entry: HookEntry;
  readonly phase: Phase;
  readonly organization: HookOrganization | null;
  readonly undo: boolean;
}

/**
 * Runs one hook, or its way back, in one transaction with its record.
 *
 * @returns false when there was nothing to do: another process did it
 * @throws TNT_HOOK_FAILED naming the hook, TNT_NOT_CONFIRMED; nothing of it is kept then
 */
export async function performHook(context: RunContext, session: HookSession, call: HookCall): Promise<boolean> {
  const { entry, organization } = call;
  let told = 0;
  for (;;) {
    assertGoing(context);
    let question: string | undefined;
    let revealed: string[] = [];
    let messages: string[] = [];
    try {
      const ran = await withLockRetry(
        context.pool,
        async (tx) => {
          messages = [];
          revealed = [];
          const opened = await open(context, session.state, tx, call);
          if (opened === undefined) return false;
          await (call.undo ? entry.undo : entry.run)?.({
            tx: withoutTransactionControl(tx),
            dryRun: false,
            phase: call.phase,
            organization,
            log(message) {
              messages.push(message);
              if (messages.length <= told) return; // told in an attempt that was rolled back
              told = messages.length;
              void context.onEvent({ type: 'log', hook: entry.name, message });
            },
            reveal: (text) => void revealed.push(text),
            async confirm(text) {
              if (session.answered.has(`${entry.name}\0${text}`)) return;
              question = text;
              throw new Error('a question is open');
            },
          } satisfies HookContext);
          if (question !== undefined) throw new Error('a question is open');
          const closed = await close(context, session.state, tx, call, opened.position, messages);
          if (closed !== opened.transaction) {
            throw new Error('it ended its transaction itself, so that its work and its record do not go together');
          }
          return true;
        },
        lockOptions(context, `hook ${entry.name}`),
      );
      session.revealed.push(...revealed.map((text) => ({ hook: entry.name, text })));
      if (ran) {
        await context.onEvent({
          type: 'hook',
          name: entry.name,
          moment: entry.moment,
          phase: call.phase,
          organization: organization?.slug ?? null,
          outcome: call.undo ? 'undone' : 'ran',
        });
      }
      return ran;
    } catch (error) {
      if (question === undefined) throw failed(call, error);
      // with no transaction open: a person may take their time
      await ask(session, entry.name, question);
    }
  }
}

/** @throws TNT_NOT_CONFIRMED when nobody is there, or the answer is no */
export async function ask(session: HookSession, hook: string, question: string): Promise<void> {
  if (session.answered.has(`${hook}\0${question}`)) return;
  if (session.confirm === undefined) {
    throw new TenantryError(
      'TNT_NOT_CONFIRMED',
      `The hook "${hook}" asks "${question}", and nobody is there to answer.`,
    );
  }
  if (!(await session.confirm(question))) {
    throw new TenantryError('TNT_NOT_CONFIRMED', `The question of the hook "${hook}" was not answered with yes.`, {
      hint: 'Nothing of the hook was done. Run the same command again when the answer is yes.',
    });
  }
  session.answered.add(`${hook}\0${question}`);
}

interface Opened {
  readonly transaction: string;
  readonly position: string;
}

async function open(
  context: RunContext,
  state: HookState,
  tx: Queryable,
  { entry, organization, undo }: HookCall,
): Promise<Opened | undefined> {
  const { fence } = context.lease;
  const id = organization?.id ?? null;
  if (!undo) return state.claim(tx, fence, entry, id);
  const transaction = await state.forget(tx, fence, entry.name, id);
  return transaction === undefined ? undefined : { transaction, position: '' };
}

async function close(
  context: RunContext,
  state: HookState,
  tx: Queryable,
  { undo }: HookCall,
  position: string,
  messages: readonly string[],
): Promise<string> {
  return undo ? state.selectTransaction(tx) : state.finish(tx, context.lease.fence.runId, position, messages);
}

const transactionControl =
  /^(?:\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)*(?:begin|start\s+transaction|commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b/i;

/** The transaction is the run's: a hook may use savepoints, and neither begin nor end one. */
export function withoutTransactionControl(tx: Queryable): Queryable {
  return {
    async query<R extends Row>(text: string, values?: readonly unknown[]) {
      if (transactionControl.test(text)) {
        throw new Error(`"${text.trim().split(/\s/)[0] ?? ''}" is not a hook's to send: its transaction is the run's`);
      }
      return tx.query<R>(text, values);
    },
  };
}

const ownErrors = new Set(['TNT_INTERRUPTED', 'TNT_ADOPT_RUNNING', 'TNT_NOT_CONFIRMED', 'TNT_SERVER_UNREACHABLE']);

function failed({ entry, organization, undo }: HookCall, error: unknown): unknown {
  if (error instanceof TenantryError && ownErrors.has(error.code)) return error;
  const of = organization === null ? '' : ` for the organization ${organization.slug}`;
  const said = error instanceof Error ? error.message : String(error);
  return new TenantryError(
    'TNT_HOOK_FAILED',
    `The hook "${entry.name}" failed${of}${undo ? ' on the way back' : ''}: ${said.replace(/\.$/, '')}.`,
    { cause: error, details: { hook: entry.name, organization: organization?.slug ?? null } },
  );
}
