/** The error of a promise that must be rejected. */
export async function failure(work: PromiseLike<unknown> | undefined): Promise<unknown> {
  let outcome: unknown;
  try {
    outcome = await work;
  } catch (error) {
    return error;
  }
  throw new Error(`Expected an error, got: ${JSON.stringify(outcome)}`);
}

/** Every code in an error and what it wraps: each ORM keeps the driver's error somewhere else. */
export function codesOf(error: unknown, seen = new Set<unknown>()): string[] {
  if (typeof error !== 'object' || error === null || seen.has(error)) return [];
  seen.add(error);
  const { code, originalCode, cause, driverError, meta, driverAdapterError } = error as Record<string, unknown>;
  const own = [code, originalCode].filter((value) => typeof value === 'string');
  const wrapped = [cause, driverError, meta, driverAdapterError].flatMap((inner) => codesOf(inner, seen));
  return [...new Set([...own, ...wrapped])];
}
