import { TenantryError } from '../../errors.ts';
import type { RateDecision, RateRequest, RateState } from './types.ts';

// GCRA (the generic cell rate algorithm, ITU-T I.371): per key one instant, the theoretical arrival time of the next request
// at the even rate. A request is early by how far that lies ahead; the burst says how early it may be.

/** A request with what the algorithm computes with. */
export interface Cell {
  readonly request: RateRequest;
  readonly key: string;
  /** Milliseconds between two requests at the even rate. */
  readonly step: number;
  readonly burst: number;
  readonly cost: number;
}

/** A hundredth of a request forgives what the arithmetic loses; it never lets a whole one through. */
const slack = 0.01;
const maxKeyLength = 512;

/** @throws TNT_INPUT_INVALID */
export function cellsOf(requests: readonly RateRequest[]): Cell[] {
  if (requests.length === 0 || requests.length > 100) throw invalid('requests', 'takes 1 to 100 limits');
  const cells = requests.map(cellOf);
  if (cells.length > 1 && new Set(cells.map(({ key }) => key)).size < cells.length) {
    throw invalid('key', 'is there twice; two rates need two keys');
  }
  return cells;
}

export function cellOf(request: RateRequest): Cell {
  const { key, rate, cost = 1 } = request;
  const { limit, periodMs, burst = Math.max(1, limit) } = rate;
  if (typeof key !== 'string' || key.length === 0 || key.length > maxKeyLength || key.includes('\0')) {
    throw invalid('key', `takes 1 to ${maxKeyLength} characters`);
  }
  if (!(limit > 0 && limit <= 1e9)) throw invalid('rate.limit', 'takes a number above 0, at most 1e9');
  if (!(periodMs > 0 && periodMs <= 3.2e10)) throw invalid('rate.periodMs', 'takes milliseconds, at most a year');
  if (!(burst >= 1 && burst <= 1e9)) throw invalid('rate.burst', 'takes a number of at least 1');
  if (!(cost >= 0 && cost <= burst)) throw invalid('cost', 'takes a number from 0 to the burst: more would never pass');
  return { request, key, step: periodMs / limit, burst, cost };
}

/** Whether a request may come that early. `ahead`: milliseconds from now to the key's arrival time, 0 for a key at rest. */
export const isAllowed = ({ step, burst, cost }: Cell, ahead: number): boolean =>
  ahead + cost * step <= (burst + slack) * step;

/** How a limit stands. `ahead` is that of after the decision. */
export function stateOf(cell: Cell, ahead: number, taken: boolean): RateState {
  const { request, key, step, burst, cost } = cell;
  const retryAfterMs = taken ? 0 : Math.max(0, ahead + (cost - burst) * step);
  return {
    key,
    rate: request.rate,
    allowed: taken || isAllowed(cell, ahead),
    limit: request.rate.limit,
    remaining: Math.max(0, Math.floor(burst + slack - ahead / step)),
    resetMs: Math.ceil(ahead),
    retryAfterMs: retryAfterMs <= slack * step ? 0 : Math.ceil(retryAfterMs),
  };
}

/** The decision about one limit alone. */
export function decisionOfOne(cell: Cell, ahead: number, taken: boolean): RateDecision {
  const state = stateOf(cell, ahead, taken);
  const { key, rate, limit, remaining, resetMs, retryAfterMs } = state;
  return { key, rate, allowed: taken, limit, remaining, resetMs, retryAfterMs, states: [state] };
}

/** The decision of all: refused by the limit that takes longest, else the one with least left. */
export function decisionOf(cells: readonly Cell[], ahead: readonly number[], taken: boolean): RateDecision {
  const [only] = cells;
  if (only !== undefined && cells.length === 1) return decisionOfOne(only, ahead[0] ?? 0, taken);
  const states = cells.map((cell, i) => stateOf(cell, ahead[i] ?? 0, taken));
  const tightest = states.reduce((a, b) =>
    (taken ? b.remaining < a.remaining : b.retryAfterMs > a.retryAfterMs) ? b : a,
  );
  return { ...tightest, allowed: taken, states };
}

function invalid(field: string, problem: string): TenantryError {
  return new TenantryError('TNT_INPUT_INVALID', `${field}: ${problem}.`, { details: { field } });
}
