export { type Consumption, createLimits, type LimitAnswer, type Limits, type Reservation } from './limits.ts';
export type { LimitCheck, LimitConsume, LimitKey, LimitReserve, LimitSet, LimitState, OwnLimit } from './schema.ts';
