import { existsSync } from 'node:fs';

/** @fastify/rate-limit with its own store in memory, through the function that it offers for other places than hooks. */
export interface FastifyLimits {
  check(key: string, max: number, timeWindow: number): Promise<boolean>;
  close(): Promise<void>;
}

type Check = (request: { key: string; routeOptions: object }) => Promise<{ isAllowed: boolean; isExceeded?: boolean }>;
interface Instance {
  register(plugin: unknown, options: object): Promise<unknown>;
  createRateLimit(options: object): Check;
  ready(): Promise<unknown>;
  close(): Promise<void>;
}

/** Undefined where bench/node_modules is not installed. */
export async function openFastify(): Promise<FastifyLimits | undefined> {
  if (!existsSync(new URL('../../node_modules/@fastify/rate-limit/package.json', import.meta.url))) return undefined;
  const names = ['fastify', '@fastify/rate-limit'];
  const [fastify, plugin] = (await Promise.all(names.map((name) => import(name)))) as [
    { default: () => Instance },
    { default: unknown },
  ];
  const app = fastify.default();
  await app.register(plugin.default, { global: false, keyGenerator: (request: { key: string }) => request.key });
  await app.ready();
  const checks = new Map<string, Check>();
  return {
    async check(key, max, timeWindow) {
      const name = `${max}/${timeWindow}`;
      let check = checks.get(name);
      if (check === undefined) checks.set(name, (check = app.createRateLimit({ max, timeWindow })));
      const { isAllowed, isExceeded } = await check({ key, routeOptions: {} });
      return isAllowed || isExceeded === false;
    },
    close: () => app.close(),
  };
}
