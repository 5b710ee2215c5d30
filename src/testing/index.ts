export { type ExpectIsolatedOptions, expectIsolated, type IsolationTarget } from './expect-isolated.ts';
export {
  type MatrixOrganization,
  type MatrixUser,
  type SeededMatrix,
  type SeedMatrixOptions,
  seedMatrix,
} from './matrix.ts';
export { createThrowawayDatabase, type ThrowawayDatabase, type ThrowawayOptions } from './throwaway-database.ts';
