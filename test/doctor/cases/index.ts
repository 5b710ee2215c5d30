import { adoptionCases } from './adoption.ts';
import { costCases } from './cost.ts';
import { keysCases } from './keys.ts';
import { loginCases } from './login.ts';
import type { CheckCase } from './setup.ts';
import { tablesCases } from './tables.ts';
import { waysAroundCases } from './ways-around.ts';

export { type CheckCase, correctSetup } from './setup.ts';

/** Every flaw that SQL can make, in the order of their codes. */
export const cases: readonly CheckCase[] = [
  ...loginCases,
  ...tablesCases,
  ...waysAroundCases,
  ...keysCases,
  ...costCases,
  ...adoptionCases,
].sort((a, b) => a.code.localeCompare(b.code));
