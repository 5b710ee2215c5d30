import { TenantryError } from '../../../src/errors.ts';

/** What a work that must be refused was refused with. */
export async function failure(work: Promise<unknown>): Promise<TenantryError> {
  const error: unknown = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TenantryError) return error;
  throw new Error(error === undefined ? 'it was not refused' : 'it failed otherwise', { cause: error });
}
