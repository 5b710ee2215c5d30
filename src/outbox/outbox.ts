import { currentTenant, withSystem } from '../context/index.ts';
import type { Kernel } from '../database/kernel.ts';
import { parseInput } from '../directory/input.ts';
import { write } from '../directory/write-error.ts';
import { createDispatcher, type Deliverer, type Dispatcher, type DispatcherOptions } from './dispatcher.ts';
import { pruneEvents } from './queries/dispatch.ts';
import { emitEvent } from './queries/events.ts';
import { type EventCreate, eventCreate } from './schema.ts';

export interface Outbox {
  /**
   * Writes one event of the current organization. Inside a transaction hand in its kernel: the event then stands or falls
   * with it, and is handed on after the commit, at least once and in the order of commits.
   *
   * @returns the event's id; with a key that was used before, the id of the event that has it
   * @throws TNT_INPUT_INVALID, TNT_CONTEXT_MISSING
   * @example
   * ```ts
   * await kernel.transaction(async (tx) => {
   *   await markPaid(tx, invoice);
   *   await t.outbox.emit({ topic: 'invoice.paid', payload: { invoiceId: invoice.id } }, tx);
   * });
   * ```
   */
  emit(event: EventCreate, on?: Kernel): Promise<string>;
  /**
   * A worker that hands events to handlers and webhooks. Start it in one process or in many.
   *
   * @example
   * ```ts
   * const dispatcher = t.outbox.dispatcher({
   *   consumers: { mailer: { topics: ['invoice.*'], handle: (event) => sendMail(event.id, event.payload) } },
   * });
   * await dispatcher.start();
   * process.once('SIGTERM', () => void dispatcher.stop());
   * ```
   */
  dispatcher(options?: DispatcherOptions): Dispatcher;
  /** Removes events older than `days` that every reader has passed; the dispatcher does so by itself. Returns how many. */
  prune(options: { readonly days: number }): Promise<number>;
}

export function createOutbox(kernel: Kernel, deliverer?: Deliverer, defaults: DispatcherOptions = {}): Outbox {
  return {
    async emit(event, on = kernel) {
      const { topic, payload, key } = parseInput(eventCreate, event);
      const { tenantId } = currentTenant();
      return write('event', 'create', () => emitEvent(on, tenantId, topic, payload, key));
    },
    dispatcher: (options = {}) => createDispatcher(kernel, deliverer, { ...defaults, ...options }),
    async prune({ days }) {
      return withSystem('outbox prune', async () => {
        let removed = 0;
        for (let last = 1_000; last === 1_000; removed += last) last = await pruneEvents(kernel, days, 1_000);
        return removed;
      });
    },
  };
}
