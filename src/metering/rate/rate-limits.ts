import { currentContext } from '../../context/index.ts';
import type { TenantContext } from '../../context/types.ts';
import type { Kernel } from '../../database/kernel.ts';
import { TenantryError } from '../../errors.ts';
import { type GuardedRateLimiter, type GuardOptions, guardRateLimiter, type WhenUnavailable } from './guard.ts';
import { type NamedState, rateLimited, rateLimitHeaders } from './headers.ts';
import { createMemoryRateLimiter } from './memory.ts';
import { createPlanRates } from './plan-rates.ts';
import { createPostgresRateLimiter } from './postgres.ts';
import { openRedisRateLimiter } from './redis-url.ts';
import type { Rate, RateDecision, RateLimiter, RateRequest } from './types.ts';

/** What a class of requests may do, per scope. Every scope that a request has counts, all or nothing. */
export interface RateClass {
  /** Per organization. The rate that its plan grants under the name of the class takes the place of this one. */
  readonly organization?: Rate | 'plan';
  readonly namespace?: Rate;
  readonly apiKey?: Rate;
  readonly endUser?: Rate;
  readonly user?: Rate;
  /** Per address of the caller, also where there is no organization yet. */
  readonly address?: Rate;
  /** While the store cannot be reached: count in this process (default), let everything pass, or refuse. */
  readonly whenUnavailable?: WhenUnavailable;
}

export interface RateLimitsOptions extends GuardOptions {
  /**
   * Where states are kept. Defaults to 'postgres'; 'memory' counts per process; a URL (redis://…, rediss://…) is that
   * Redis, through the package `redis`; or a limiter of yours.
   */
  readonly store?: 'postgres' | 'memory' | `redis://${string}` | `rediss://${string}` | RateLimiter;
  /** The limits of your routes by name: `{ api: { organization: { limit: 600, periodMs: 60_000 } } }`. */
  readonly classes?: Readonly<Record<string, RateClass>>;
  /** How long a plan's rate is remembered, in milliseconds. Defaults to 30 seconds. */
  readonly planMaxAgeMs?: number;
}

export interface AdmitOptions {
  /** How many requests this one counts for. Defaults to 1. */
  readonly cost?: number | undefined;
  /** The caller's address, for classes that limit by it. */
  readonly address?: string | undefined;
}

/** A decision with the headers of its response. */
export interface Admission {
  readonly allowed: boolean;
  /** What was decided; undefined where the class has no limit for this request. */
  readonly decision: RateDecision | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

export interface RateLimits extends RateLimiter {
  /**
   * Takes one request of a class from every scope of the context (organization, namespace, key, end user, user) and the
   * address: from all or from none.
   *
   * @throws TNT_CONFIG_INVALID for a class that there is not, TNT_RATE_STORE_UNAVAILABLE where it refuses when in doubt
   * @example
   * ```ts
   * const { allowed, headers } = await t.rateLimits.admit('api');
   * ```
   */
  admit(name: string, options?: AdmitOptions): Promise<Admission>;
  /** The same as an error; `details.headers` are those of the response. @throws TNT_RATE_LIMITED */
  assert(name: string, options?: AdmitOptions): Promise<Admission>;
  /** Ends the connection to Redis, where a URL was given. */
  close(): Promise<void>;
}

export function createRateLimits(kernel: Kernel, options: RateLimitsOptions = {}): RateLimits {
  const { store = 'postgres', classes = {}, planMaxAgeMs = 30_000, ...guard } = options;
  const opened = storeOf(kernel, store);
  // what cannot fail needs no guard
  const limiter: GuardedRateLimiter = store === 'memory' ? opened : guardRateLimiter(opened, guard);
  const planRate = createPlanRates(kernel, planMaxAgeMs);

  async function planned(tenantId: string, name: string, whenUnavailable?: WhenUnavailable): Promise<Rate | undefined> {
    try {
      return await planRate(tenantId, name);
    } catch (error) {
      guard.onUnavailable?.(error);
      if (whenUnavailable !== 'refuse') return undefined;
      throw new TenantryError('TNT_RATE_STORE_UNAVAILABLE', 'The rate of the plan cannot be read.', { cause: error });
    }
  }

  async function admit(name: string, { cost, address }: AdmitOptions = {}): Promise<Admission> {
    const limits = Object.hasOwn(classes, name) ? classes[name] : undefined;
    if (limits === undefined) {
      throw new TenantryError('TNT_CONFIG_INVALID', `rateLimits.classes: there is no class "${name}".`);
    }
    const context = currentContext();
    const tenant = context?.kind === 'tenant' ? context : undefined;
    const rate = tenant && limits.organization && (await planned(tenant.tenantId, name, limits.whenUnavailable));
    const scopes = scopesOf(name, limits, tenant, rate, address);
    if (scopes.length === 0) return { allowed: true, decision: undefined, headers: {} };
    const requests = scopes.map(
      ({ key, rate }): RateRequest => ({ key, rate, ...(cost === undefined ? {} : { cost }) }),
    );
    const decision = await limiter.take(requests, limits.whenUnavailable);
    const names = new Map(scopes.map(({ key, scope }) => [key, scope]));
    const states = decision.states.map((state): NamedState => ({ ...state, name: names.get(state.key) ?? name }));
    return { allowed: decision.allowed, decision, headers: rateLimitHeaders(states, decision) };
  }

  return {
    take: (requests) => limiter.take(requests),
    forget: (keys) => limiter.forget(keys),
    admit,
    async assert(name, options) {
      const admission = await admit(name, options);
      const { allowed, decision, headers } = admission;
      if (!allowed && decision !== undefined) throw rateLimited(name, decision, headers);
      return admission;
    },
    close: async () => opened.close?.(),
  };
}

function storeOf(
  kernel: Kernel,
  store: NonNullable<RateLimitsOptions['store']>,
): RateLimiter & { close?: () => Promise<void> } {
  if (store === 'postgres') return createPostgresRateLimiter(kernel);
  if (store === 'memory') return createMemoryRateLimiter();
  // one of the caller's own is the caller's to close
  if (typeof store === 'object') return { take: store.take, forget: store.forget };
  if (/^rediss?:\/\//.test(store) && URL.canParse(store)) return openRedisRateLimiter(store);
  throw new TenantryError(
    'TNT_CONFIG_INVALID',
    'rateLimits.store: is neither postgres, memory, a limiter nor the URL of a Redis.',
  );
}

interface Scope {
  readonly scope: string;
  readonly key: string;
  readonly rate: Rate;
}

/** The limits that a request meets; keys of one organization begin alike. */
function scopesOf(
  name: string,
  limits: RateClass,
  tenant: TenantContext | undefined,
  planned: Rate | undefined,
  address: string | undefined,
): Scope[] {
  const { organization, namespace, apiKey, endUser, user } = limits;
  const scopes: Scope[] = [];
  const add = (scope: string, id: string | undefined, rate: Rate | undefined): void => {
    if (id === undefined || rate === undefined) return;
    scopes.push({ scope, key: `${tenant?.tenantId ?? 'global'}/${name}/${scope}/${id}`, rate });
  };
  if (tenant !== undefined) {
    add('organization', '', planned ?? (organization === 'plan' ? undefined : organization));
    add('namespace', tenant.namespaceId, namespace);
    add('api-key', tenant.apiKeyId, apiKey);
    add('end-user', tenant.endUserId, endUser);
    add('user', tenant.userId, user);
  }
  // across organizations: an address that asks for many of them is one caller
  if (address !== undefined && limits.address !== undefined) {
    scopes.push({ scope: 'address', key: `address/${name}/${address}`, rate: limits.address });
  }
  return scopes;
}
