export { loadOptional } from '../database/optional.ts';
