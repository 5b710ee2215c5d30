import type { Shape } from './list.ts';
import type { ResourceListQuery } from './schema.ts';

const rememberedCallers = 10_000;
const trustedMilliseconds = 60_000;
/** A page that takes this long went the wrong way, most likely. */
const slowMilliseconds = 100;

/** What `tenantry.list_shape()` adds to a row. */
export type ShapeColumns = {
  readonly way?: Shape['way'] | undefined;
  readonly many?: boolean | undefined;
  readonly untilAt?: string | null | undefined;
  readonly untilId?: string | null | undefined;
};

/** The shapes of callers, for a minute: hints, since any way of listing gives the same rows to anybody. */
export class Shapes {
  readonly #known = new Map<string, { readonly shape: Shape; readonly at: number }>();

  get(key: string): Shape | undefined {
    const known = this.#known.get(key);
    return known === undefined || performance.now() - known.at > trustedMilliseconds ? undefined : known.shape;
  }

  learn(key: string, { way, many, untilAt, untilId }: ShapeColumns): void {
    if (way === undefined || many === undefined) return;
    const until =
      typeof untilAt === 'string' && typeof untilId === 'string' ? { value: untilAt, id: untilId } : undefined;
    /* v8 ignore next -- a bound on memory, reached by ten thousand callers */
    if (this.#known.size >= rememberedCallers) this.#known.clear();
    this.#known.set(key, { shape: { way, many, until }, at: performance.now() });
  }

  /** Measured anew after a page that was slow: the caller may see much more than before. */
  forgetIfSlow(key: string, since: number): void {
    if (performance.now() - since > slowMilliseconds) this.#known.delete(key);
  }
}

export function shapeKey(
  tenantId: string,
  userId: string | undefined,
  { type, limit, search }: ResourceListQuery,
): string {
  const types = typeof type === 'string' ? [type] : [...new Set(type)];
  return `${tenantId}|${userId ?? ''}|${types.length === 1 ? types[0] : ''}|${search === undefined ? limit : 'search'}`;
}
