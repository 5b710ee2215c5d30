import type { Kernel } from '../database/kernel.ts';

/**
 * Runs `fn` on the operator's connection, after who crossed and why has been written down: what the seller does to an
 * organization's plan, prices and bills, and the organization itself may not.
 *
 * @throws TNT_OPERATOR_UNAVAILABLE
 */
export type Crossing = <T>(reason: string, fn: (kernel: Kernel) => Promise<T>) => Promise<T>;
