import type { Blocker } from '../../database/blockers.ts';
import type { LockAttempt } from '../../database/locks.ts';
import type { HookMoment } from '../hooks/types.ts';
import type { TableName } from '../inspection.ts';
import type { Phase } from '../plan-types.ts';

/** What a run tells while it works. */
export type AdoptEvent =
  | { readonly type: 'phase'; readonly phase: Phase; readonly steps: number }
  | {
      readonly type: 'step';
      readonly phase: Phase;
      readonly id: string;
      readonly table: TableName | null;
      readonly undone?: boolean;
    }
  | {
      readonly type: 'progress';
      readonly phase: Phase;
      readonly table: TableName;
      /** Rows filled so far in this table. */
      readonly rows: number;
      /** 0 to 1, by pages passed. */
      readonly fraction: number;
      readonly rowsPerSecond: number;
      readonly secondsLeft: number;
      /** False while an old snapshot keeps the server from pruning: then plain batches are used. */
      readonly striped: boolean;
    }
  | {
      readonly type: 'lock';
      readonly id: string;
      readonly attempt: number;
      /** `waiting`: the attempt goes on, and somebody is in its way. */
      readonly outcome: LockAttempt['outcome'] | 'waiting';
      readonly milliseconds: number;
      /** Who is in the way, one line each: process, application, login, state, since when, and how its statement begins. */
      readonly blockers: readonly string[];
      /** The same as data. */
      readonly sessions: readonly Blocker[];
    }
  | {
      /** It could go on and does not, for now; told again every ten seconds, and once when it is `over`. */
      readonly type: 'waiting';
      readonly reason: 'window' | 'replica';
      readonly message: string;
      readonly until: Date | null;
      readonly over?: boolean;
    }
  | {
      readonly type: 'hook';
      readonly name: string;
      readonly moment: HookMoment;
      readonly phase: Phase;
      /** Slug of the organization that it ran for. */
      readonly organization: string | null;
      readonly outcome: 'ran' | 'undone';
    }
  /** What a hook told while it worked. */
  | { readonly type: 'log'; readonly hook: string; readonly message: string }
  /** What a hook shows once, when everything is over. It may be a secret: never keep it. */
  | { readonly type: 'reveal'; readonly hook: string; readonly text: string }
  | { readonly type: 'warning'; readonly message: string };

export type OnEvent = (event: AdoptEvent) => void | Promise<void>;

/** Thrown by whoever listens: it ends the run as it is, and is no error of the database's. */
export class ListenerError extends Error {
  override readonly name = 'ListenerError';
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Tells both listeners, and marks what they throw. */
export function telling(...listeners: readonly (OnEvent | undefined)[]): OnEvent {
  return async (event) => {
    try {
      for (const listener of listeners) await listener?.(event);
    } catch (error) {
      throw new ListenerError(error);
    }
  };
}
