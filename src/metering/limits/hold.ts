/** What is held while work goes on. */
interface Held {
  commit(quantity?: number | string): Promise<unknown>;
  release(): Promise<unknown>;
  extend(ttlMs: number): Promise<unknown>;
}

/**
 * Runs `work` while a reservation is held: extended at a third of its time, committed with what the work used, released
 * when it fails. An extension that fails is tried again at the next third; by then the reservation still holds.
 */
export async function holdWhile<T extends { readonly used?: number | string } | void>(
  held: Held,
  ttlMs: number,
  work: () => Promise<T>,
): Promise<T> {
  const timer = setInterval(() => void held.extend(ttlMs).catch(() => undefined), ttlMs / 3);
  timer.unref();
  let result: T;
  try {
    result = await work();
  } catch (error) {
    await held.release().catch(() => undefined); // else it expires
    throw error;
  } finally {
    clearInterval(timer);
  }
  await held.commit(typeof result === 'object' ? result.used : undefined);
  return result;
}
