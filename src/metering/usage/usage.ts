import { currentTenant, withSystem } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { parseInput } from '../../directory/input.ts';
import { TenantryError } from '../../errors.ts';
import { type CountArguments, countArguments, placeEvent } from './lanes.ts';
import { correctUsage, countUsage, openUsage } from './queries.ts';
import { createRecorder, type UsageOptions } from './recorder.ts';
import { refusalOf } from './refusals.ts';
import {
  type UsageAmendment,
  type UsageEvent,
  type UsageOutcome,
  type UsageRetraction,
  usageAmendment,
  usageEvent,
  usageRetraction,
} from './schema.ts';

export interface Usage {
  /**
   * Counts an event for the organization of the context, once per `id` for ever. Resolves after the commit. Calls that
   * come at the same time, also of different organizations, share one transaction. With `on`, inside the caller's own
   * transaction: it then stands or falls with it.
   *
   * @returns `counted`, or `duplicate` when the same event was counted before
   * @throws TNT_INPUT_INVALID, TNT_CONTEXT_MISSING, TNT_METRIC_UNKNOWN, TNT_NOT_FOUND for a namespace or key,
   * TNT_CONFLICT when another event has the id, TNT_USAGE_OVERLOADED, TNT_USAGE_CLOSED, TNT_USAGE_UNCERTAIN: send it again
   */
  record(event: UsageEvent, on?: Kernel): Promise<UsageOutcome>;
  amend(amendment: UsageAmendment, on?: Kernel): Promise<UsageOutcome>;
  retract(retraction: UsageRetraction, on?: Kernel): Promise<UsageOutcome>;
  flush(): Promise<void>;
  close(): Promise<void>;
  readonly pending: number;
}

export function createUsage(kernel: Kernel, options: UsageOptions = {}): Usage {
  const recorder = createRecorder(
    (events, fresh) => withSystem('usage', () => count(kernel, countArguments(events), fresh)),
    options,
  );
  async function correct(
    input: { id: string; eventId: string; quantity: number | string | null; reason: string },
    on: Kernel,
  ): Promise<UsageOutcome> {
    currentTenant();
    switch (await correctUsage(on, input)) {
      case 'c':
        return 'counted';
      case 'd':
        return 'duplicate';
      case 'u':
        throw new TenantryError('TNT_NOT_FOUND', 'eventId: the organization has no such event.');
      case 'r':
        throw new TenantryError('TNT_CONFLICT', 'eventId: the event was retracted before.', {
          hint: 'Record a new event instead.',
        });
      default:
        throw new TenantryError('TNT_CONFLICT', 'id: another event or correction has this id.', {
          hint: 'Choose an id of its own.',
        });
    }
  }
  return {
    async record(event, on) {
      const placed = placeEvent(currentTenant(), parseInput(usageEvent, event) as UsageEvent, Date.now());
      if (on === undefined) return recorder.add(placed);
      const batch = countArguments([placed]);
      await openUsage(on, batch[0]);
      const letter = (await countUsage(on, batch, false)) || 'c';
      if (letter === 'c') return 'counted';
      if (letter === 'd') return 'duplicate';
      throw refusalOf(letter, placed);
    },
    async amend(amendment, on = kernel) {
      return correct(parseInput(usageAmendment, amendment), on);
    },
    async retract(retraction, on = kernel) {
      return correct({ ...parseInput(usageRetraction, retraction), quantity: null }, on);
    },
    flush: recorder.flush,
    close: recorder.close,
    get pending() {
      return recorder.pending;
    },
  };
}

async function count(kernel: Kernel, batch: CountArguments, fresh: boolean): Promise<string> {
  for (let midnights = 0; ; midnights += 1) {
    const answer = await countUsage(kernel, batch, fresh);
    if (answer !== '!') return answer;
    if (midnights > 2) throw new TenantryError('TNT_INTERNAL', 'An account of usage cannot be opened.');
    await openUsage(kernel, batch[0]);
  }
}
