import { runOutsideContext } from '../context/scope.ts';
import { createListener, type ListenClient, type Listener } from '../database/listen.ts';
import type { KeyCache } from './cache.ts';

const channel = 'tenantry_keys';

/**
 * Drops from the cache what other processes, and operators, change. While nothing can be heard the cache is not used at
 * all; a connection that is cut without a sign is what the cache's greatest age is for.
 */
export function watchKeys(cache: KeyCache, connect: () => Promise<ListenClient>): Listener {
  const forget = (trusted: boolean): void => {
    cache.trusted = trusted;
    cache.dropAll();
  };
  return runOutsideContext(() =>
    createListener({
      connect,
      channels: [channel],
      onNotify: (_, payload) => {
        if (payload === '*') cache.dropAll();
        else for (const lookup of payload.split(' ')) cache.drop(lookup);
      },
      onLost: () => forget(false),
      onRestored: () => forget(true),
    }),
  );
}
