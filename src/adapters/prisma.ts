import { AsyncResource } from 'node:async_hooks';
import { currentContext } from '../context/index.ts';
import { TenantryError } from '../errors.ts';

interface PoolLike {
  query(...args: never[]): unknown;
}

interface AdapterFactoryLike {
  connect(): Promise<unknown>;
}

/** The class `PrismaPg` of `@prisma/adapter-pg`. */
type PrismaPgLike<F extends AdapterFactoryLike, P, O> = new (pool: P, options?: O) => F;

const isolatedAdapters = new WeakSet<object>();

/**
 * Prisma's driver adapter over a tenant pool. The client that uses it must pass through `isolatePrisma`; until then
 * it is refused a connection.
 *
 * @throws TNT_CONFIG_INVALID when `@prisma/adapter-pg` has another copy of `pg` than Tenantry: it would take the pool
 * for the configuration of one of its own, which knows no tenant
 * @example
 * ```ts
 * import { PrismaPg } from '@prisma/adapter-pg';
 * import { isolatePrisma, prismaAdapter } from 'tenantry/prisma';
 *
 * const db = isolatePrisma(new PrismaClient({ adapter: prismaAdapter(PrismaPg, pool) }));
 * ```
 */
export function prismaAdapter<P extends PoolLike, F extends AdapterFactoryLike, O>(
  PrismaPg: PrismaPgLike<F, P, O>,
  pool: P,
  options?: O,
): F {
  const factory = new PrismaPg(pool, options);
  if (!('externalPool' in factory) || factory.externalPool !== pool) {
    throw new TenantryError('TNT_CONFIG_INVALID', 'PrismaPg did not accept the pool: it has its own copy of "pg".', {
      hint: 'Let both use one copy: npm ls pg shows them, an override of "pg" in package.json joins them.',
    });
  }
  const connect = factory.connect.bind(factory);
  factory.connect = async () => {
    if (isolatedAdapters.has(factory)) return connect();
    throw new TenantryError('TNT_CONFIG_INVALID', 'This Prisma client would mix the queries of different tenants.', {
      hint: 'Pass it through isolatePrisma(client) of tenantry/prisma, once, where it is made.',
    });
  };
  return factory;
}

interface Loader {
  batchBy(request: object): string | undefined;
  singleLoader(request: object): Promise<unknown>;
  batchLoader(requests: object[]): Promise<unknown>;
}

/**
 * Keeps what Prisma sends at once apart by tenant, on this client and all that are extended from it.
 *
 * Prisma collects `findUnique` calls and `$transaction([…])` of one tick, whoever makes them, and sends all of them
 * as the first caller: the second tenant receives the first one's rows, and no policy can see it. Here each is sent
 * as its own caller, and calls are merged within one tenant and user alone.
 *
 * @returns the same client
 * @throws TNT_CONFIG_INVALID for a version of Prisma whose loader is not where it is known to be
 */
export function isolatePrisma<T extends object>(client: T): T {
  const { _requestHandler, _engineConfig } = client as {
    _requestHandler?: { dataloader?: { options?: Partial<Loader> } };
    _engineConfig?: { adapter?: object };
  };
  const loader = _requestHandler?.dataloader?.options;
  if (!isLoader(loader)) {
    throw new TenantryError('TNT_CONFIG_INVALID', 'The loader of this Prisma client was not found.', {
      hint: 'Tenantry knows Prisma 7.9; with this version it cannot keep tenants apart.',
    });
  }
  const { adapter } = _engineConfig ?? {};
  if (adapter !== undefined) isolatedAdapters.add(adapter);
  if (!isolatedLoaders.has(loader)) isolateLoader(loader);
  return client;
}

const isolatedLoaders = new WeakSet<Loader>();

function isLoader(loader: Partial<Loader> | undefined): loader is Loader {
  const { batchBy, singleLoader, batchLoader } = loader ?? {};
  return [batchBy, singleLoader, batchLoader].every((member) => typeof member === 'function');
}

function isolateLoader(loader: Loader): void {
  const { batchBy, singleLoader, batchLoader } = loader;
  const callers = new WeakMap<object, AsyncResource>();
  const asCaller = <R>(request: object | undefined, send: () => R): R => {
    const caller = request && callers.get(request);
    return caller === undefined ? send() : caller.runInAsyncScope(send);
  };
  loader.batchBy = (request) => {
    const batch = batchBy(request);
    if (batch === undefined) return undefined; // sent here and now
    callers.set(request, new AsyncResource('TenantryPrismaRequest'));
    return `${JSON.stringify(currentContext() ?? null)}:${batch}`;
  };
  loader.singleLoader = (request) => asCaller(request, () => singleLoader(request));
  loader.batchLoader = (requests) => asCaller(requests[0], () => batchLoader(requests));
  isolatedLoaders.add(loader);
}
