import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The most that passes within 200 ms around the end of a window. One request opens the window, what is left is asked for
 * just before its end, and everything that passes right after it.
 */
export async function worstBurst(take: () => Promise<boolean>, limit: number, periodMs: number): Promise<number> {
  const passed: number[] = [];
  const ask = async (): Promise<void> => {
    if (await take()) passed.push(performance.now());
  };
  const opened = performance.now();
  await ask();
  await sleep(periodMs - 80 - (performance.now() - opened));
  const atOnce = (): Promise<unknown> => Promise.all(Array.from({ length: limit }, ask));
  await atOnce();
  while (performance.now() - opened < periodMs + 30) {
    await ask();
    await sleep(5);
  }
  await atOnce();
  let worst = 0;
  let from = 0;
  for (const [i, at] of passed.entries()) {
    while (at - (passed[from] as number) > 200) from += 1;
    worst = Math.max(worst, i - from + 1);
  }
  return worst;
}
