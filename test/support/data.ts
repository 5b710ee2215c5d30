import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** A file of the shared real-world data, or undefined where a clone has none: such tests skip. */
export function sharedData(path: string): string | undefined {
  const file = fileURLToPath(new URL(`../../../shared/data/${path}`, import.meta.url));
  return existsSync(file) ? file : undefined;
}
