import { TenantryError } from '../../../errors.ts';

const units = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `0`, `30s`, `15m`, `24h`, `7d` as milliseconds. @throws TNT_USAGE */
export function parseSpan(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (text === '0') return 0;
  const span = /^(\d{1,6})([smhd])$/.exec(text);
  if (span === null) throw new TenantryError('TNT_USAGE', `--${option} takes 0, 30s, 15m, 24h or 7d.`);
  return Number(span[1]) * units[span[2] as keyof typeof units];
}

/** A span from now on, or a time with a zone. @throws TNT_USAGE */
export function parseEnd(option: string, text: string | undefined, now = Date.now()): Date | undefined {
  if (text === undefined) return undefined;
  if (/^\d+[smhd]?$/.test(text)) return new Date(now + (parseSpan(option, text) ?? 0));
  const time = /(?:Z|[+-]\d{2}:?\d{2})$/.test(text) ? new Date(text) : new Date(Number.NaN);
  if (!Number.isNaN(time.getTime())) return time;
  throw new TenantryError('TNT_USAGE', `--${option} takes 24h, 30d, or a time with a zone such as 2026-11-22T08:00Z.`);
}

/** `100/1m` as a rate. @throws TNT_USAGE */
export function parseRate(text: string | undefined): { limit: number; periodMs: number } | undefined {
  if (text === undefined) return undefined;
  const [limit = '', span] = text.split('/');
  if (!/^[1-9]\d{0,8}$/.test(limit) || span === undefined) {
    throw new TenantryError('TNT_USAGE', '--rate takes 100/1m: so many in so long.');
  }
  return { limit: Number(limit), periodMs: parseSpan('rate', span) ?? 0 };
}
