import { TenantryError } from '../errors.ts';

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `30m`, `24h`, `7d` back from now, or a time with a zone (ISO 8601). @throws TNT_USAGE */
export function parseMoment(option: string, text: string | undefined, now = Date.now()): Date | undefined {
  if (text === undefined) return undefined;
  const span = /^(\d+)([smhd])$/.exec(text);
  if (span !== null) return new Date(now - Number(span[1]) * units[span[2] as keyof typeof units]);
  const time = /(?:Z|[+-]\d{2}:?\d{2})$/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (Number.isNaN(time.getTime())) {
    throw new TenantryError(
      'TNT_USAGE',
      `--${option} takes 30m, 24h, 7d, or a time with a zone such as 2026-11-22T08:00Z.`,
    );
  }
  return time;
}
