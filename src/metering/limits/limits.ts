import type { Audit } from '../../audit/index.ts';
import { currentTenant } from '../../context/context.ts';
import type { Kernel } from '../../database/kernel.ts';
import { orForbidden } from '../../directory/forbidden.ts';
import { parseInput } from '../../directory/input.ts';
import { isId } from '../../directory/schema.ts';
import { write } from '../../directory/write-error.ts';
import { TenantryError } from '../../errors.ts';
import type { Usage } from '../usage/usage.ts';
import { exceeded, limitHeaders, refusalOfRequest, statesOf } from './exceeded.ts';
import { holdWhile } from './hold.ts';
import {
  commitReservation,
  deleteLimit,
  extendReservation,
  listLimits,
  releaseReservation,
  selectReservation,
  type TakeArguments,
  type TakeRow,
  takeLimit,
  upsertLimit,
} from './queries.ts';
import {
  type LimitCheck,
  type LimitConsume,
  type LimitKey,
  type LimitReserve,
  type LimitSet,
  type LimitState,
  limitCheck,
  limitConsume,
  limitKey,
  limitReserve,
  limitSet,
  type OwnLimit,
} from './schema.ts';

/** How a request stands with its limits. */
export interface LimitAnswer {
  readonly allowed: boolean;
  /** Of the quantity, what lies beyond a soft limit and is billed as overage. */
  readonly overage: number;
  /** Every limit that the request meets, as it stood before it. */
  readonly limits: readonly LimitState[];
  /** For the response. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface Consumption extends LimitAnswer {
  /** `duplicate`: the same event was counted before, and not again. */
  readonly outcome: 'counted' | 'duplicate';
}

export interface Reservation extends LimitAnswer {
  readonly id: string;
  readonly reservedAt: Date;
  /** When it counts no more unless it is extended. */
  readonly expiresAt: Date;
  /**
   * Counts what was used (the quantity reserved unless given, 0 for nothing) as usage of the instant of the reservation,
   * and gives back the rest. Also after it expired: what was done is counted, if late. Done twice it counts once.
   */
  commit(quantity?: number | string): Promise<'counted' | 'duplicate'>;
  /** Gives the place back. False when it was ended before. */
  release(): Promise<boolean>;
  /** Holds it for longer, from now. @throws TNT_RESERVATION_ENDED */
  extend(ttlMs?: number): Promise<Date>;
}

export interface Limits {
  /** Whether a quantity would be let through now; takes nothing. For showing, not for deciding: others ask at the same time. */
  check(input: LimitCheck): Promise<LimitAnswer>;
  /**
   * Counts a quantity as usage if every limit of the key, the end user, the namespace and the organization (its plan)
   * leaves room, in one statement: of 200 at once against 50, 50 pass. Beyond a soft limit it passes and is overage.
   *
   * @throws TNT_LIMIT_EXCEEDED with `details.headers`, TNT_METRIC_UNKNOWN, TNT_NAMESPACE_INACTIVE, TNT_NOT_FOUND
   * @example
   * ```ts
   * const { overage } = await t.limits.consume({ metric: 'conversations', eventId: conversation.id });
   * ```
   */
  consume(input: LimitConsume): Promise<Consumption>;
  /**
   * Holds a quantity for work that takes a while. Commit it, or release it; a holder that dies lets it expire.
   *
   * @throws as `consume`
   * @example
   * ```ts
   * const reservation = await t.limits.reserve({ metric: 'tokens', quantity: 8_000, ttlMs: 120_000 });
   * const { tokens } = await generate(prompt);
   * await reservation.commit(tokens);
   * ```
   */
  reserve(input: LimitReserve): Promise<Reservation>;
  /** A reservation by its id, for a job that ends in another process. @throws TNT_RESERVATION_ENDED */
  reservation(id: string): Promise<Reservation>;
  /**
   * Reserves, runs `work`, and commits what it returns as `used` (the quantity reserved unless given); extends the
   * reservation while the work goes on, and releases it when it fails.
   */
  during<T extends { readonly used?: number | string } | void>(input: LimitReserve, work: () => Promise<T>): Promise<T>;
  /** The organization's own limit takes the place of its plan's. @throws TNT_FORBIDDEN without limits.write, TNT_NOT_FOUND */
  set(input: LimitSet): Promise<OwnLimit>;
  /** Back to what the plan says. Null when there was none. @throws TNT_FORBIDDEN */
  remove(input: LimitKey): Promise<OwnLimit | null>;
  /** The organization's own limits, or an end user's. */
  list(options?: { endUserId?: string }): Promise<OwnLimit[]>;
}

/** What limits stand on: usage counts, and who changed a limit is written down. */
export interface LimitsParts {
  readonly usage: Pick<Usage, 'record'>;
  readonly audit: Pick<Audit, 'record'>;
}

type Asked = Pick<TakeArguments, 'metric' | 'quantity'> & Partial<TakeArguments>;

export function createLimits(kernel: Kernel, { usage, audit }: LimitsParts): Limits {
  async function take(mode: TakeArguments['mode'], input: Asked): Promise<LimitAnswer & { row: TakeRow }> {
    const context = currentTenant();
    const { namespaceId = context.namespaceId, apiKeyId = context.apiKeyId, endUserId = context.endUserId } = input;
    const row = await write('limit', 'update', () =>
      takeLimit(kernel, { ...input, mode, namespaceId, apiKeyId, endUserId }),
    );
    if (row === undefined) throw new TenantryError('TNT_INTERNAL', 'The limits gave no answer.');
    if (row.answer !== null && row.answer !== 'c' && row.answer !== 'd')
      throw refusalOfRequest(row.answer, input.metric);
    const limits = statesOf(row);
    const allowed = row.allowed === true;
    if (!allowed && mode !== 'look') throw exceeded(input.metric, Number(input.quantity), limits, row.reservedAt);
    return { allowed, overage: row.overage, limits, headers: limitHeaders(input.metric, limits, row.reservedAt), row };
  }

  function handle(
    id: string,
    of: { metric: string; quantity: number | string; reservedAt: Date; expiresAt: Date; ttlMs: number } & Omit<
      TakeArguments,
      'mode' | 'ttlMs' | 'eventId'
    >,
    answer: LimitAnswer,
  ): Reservation {
    return {
      ...answer,
      id,
      reservedAt: of.reservedAt,
      expiresAt: of.expiresAt,
      async commit(quantity = of.quantity) {
        if (!(Number(quantity) >= 0)) throw new TenantryError('TNT_INPUT_INVALID', 'quantity: must not be negative.');
        return kernel.transaction(async (tx) => {
          const { metric, namespaceId, apiKeyId, endUserId } = of;
          const outcome =
            Number(quantity) === 0
              ? undefined
              : await usage.record(
                  {
                    id: `reservation:${id}`,
                    metric,
                    quantity,
                    occurredAt: of.reservedAt,
                    ...(namespaceId === undefined ? {} : { namespaceId }),
                    ...(apiKeyId === undefined ? {} : { apiKeyId }),
                    ...(endUserId === undefined ? {} : { subject: endUserId }),
                  },
                  tx,
                );
          const ended = await commitReservation(tx, id, quantity);
          return outcome ?? (ended ? 'counted' : 'duplicate');
        });
      },
      release: () => releaseReservation(kernel, id),
      async extend(ttlMs = of.ttlMs) {
        const until = await extendReservation(kernel, id, ttlMs);
        if (until === undefined) throw ended();
        return until;
      },
    };
  }

  const limits: Limits = {
    async check(input) {
      const { row: _, ...answer } = await take('look', parseInput(limitCheck, input));
      return answer;
    },
    async consume(input) {
      const { row, ...answer } = await take('consume', parseInput(limitConsume, input));
      return { ...answer, outcome: row.answer === 'd' ? 'duplicate' : 'counted' };
    },
    async reserve(input) {
      const values = parseInput(limitReserve, input);
      const { row, ...answer } = await take('reserve', values);
      if (row.reservationId === null) throw new TenantryError('TNT_INTERNAL', 'The reservation was not stored.');
      const { namespaceId, apiKeyId, endUserId } = currentTenant();
      const { reservedAt, expiresAt } = row;
      return handle(row.reservationId, { namespaceId, apiKeyId, endUserId, ...values, reservedAt, expiresAt }, answer);
    },
    async reservation(id) {
      const row = isId(id) ? await selectReservation(kernel, currentTenant().tenantId, id) : undefined;
      if (row === undefined) throw ended();
      const { metric, quantity, reservedAt, expiresAt } = row;
      const [namespaceId, apiKeyId, endUserId] = [row.namespaceId, row.apiKeyId, row.endUserId].map(
        (value) => value ?? undefined,
      );
      const ttlMs = expiresAt.getTime() - reservedAt.getTime();
      return handle(
        row.id,
        { metric, quantity, reservedAt, expiresAt, ttlMs, namespaceId, apiKeyId, endUserId },
        { allowed: true, overage: 0, limits: [], headers: {} },
      );
    },
    async during(input, work) {
      const { ttlMs = 900_000 } = input;
      const reservation = await limits.reserve(input);
      return holdWhile(reservation, ttlMs, work);
    },
    async set(input) {
      const values = parseInput(limitSet, input);
      const { tenantId } = currentTenant();
      return write('limit', 'update', () =>
        kernel.transaction(async (tx) => {
          const row = await upsertLimit(tx, tenantId, { ...values, endUserId: values.endUserId });
          if (row === undefined) throw refusalOfRequest('e', values.metric);
          await audit.record({ action: 'limits.set', details: { ...row } }, tx);
          return row;
        }),
      );
    },
    async remove(input) {
      const values = parseInput(limitKey, input);
      const { tenantId } = currentTenant();
      return write('limit', 'delete', () =>
        kernel.transaction(async (tx) => {
          const row = await deleteLimit(tx, tenantId, { ...values, endUserId: values.endUserId });
          if (row === undefined) {
            const own = await listLimits(tx, tenantId, values.endUserId);
            return orForbidden(null, async () => own.find(isSame(values)) ?? null, 'limit', 'delete');
          }
          await audit.record({ action: 'limits.remove', details: { ...row } }, tx);
          return row;
        }),
      );
    },
    async list({ endUserId } = {}) {
      if (endUserId !== undefined && !isId(endUserId)) return [];
      return listLimits(kernel, currentTenant().tenantId, endUserId);
    },
  };
  return limits;
}

const isSame =
  ({ metric, period }: { metric: string; period: string }) =>
  (own: OwnLimit): boolean =>
    own.metric === metric && own.period === period;

function ended(): TenantryError {
  return new TenantryError('TNT_RESERVATION_ENDED', 'The reservation is ended: committed, released or expired.');
}
