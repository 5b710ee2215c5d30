import { Hono } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { secureHeaders } from 'hono/secure-headers';
import { TenantryError } from '../errors.ts';
import { requireToken } from './authenticate.ts';
import { healthRoutes } from './routes/health.ts';
import { type TenancyOptions, tenancyRoutes } from './routes/tenancy.ts';

export interface AppOptions extends TenancyOptions {
  /** Who knows it may call the internal routes on behalf of users. At least 16 characters; never logged. */
  readonly token: string;
  /** Throws while the server cannot serve: no database, schema too old, login that can bypass. */
  readonly ready: () => Promise<void>;
  /** Called with what nobody expected; the answer to the caller says nothing of it. */
  readonly onError?: (error: unknown) => void;
}

/**
 * The HTTP application: `/healthz`, `/readyz`, `/_int/tenancy/ping`. Runs in any server that takes web-standard requests.
 *
 * @throws TNT_CONFIG_INVALID for a token that is too short
 */
export function createApp({ token, ready, onError = () => {}, ...tenancy }: AppOptions): Hono {
  if (token.length < 16) {
    throw new TenantryError('TNT_CONFIG_INVALID', 'token: must have at least 16 characters.', {
      hint: 'Make one with: openssl rand -hex 32',
    });
  }
  const app = new Hono();
  app.use(secureHeaders());
  app.use(
    bodyLimit({
      maxSize: 1024 * 1024,
      onError: () => {
        throw new TenantryError('TNT_INPUT_INVALID', 'The body is larger than 1 MiB.');
      },
    }),
  );
  app.onError((error, c) => {
    const known =
      error instanceof TenantryError
        ? error
        : new TenantryError('TNT_INTERNAL', 'The request failed.', { cause: error });
    if (known.status >= 500) onError(error);
    return c.json(known.toJSON(), known.status as 500);
  });
  app.notFound((c) =>
    c.json(new TenantryError('TNT_NOT_FOUND', 'There is no such route.', { hint: 'See docs/api.md' }).toJSON(), 404),
  );
  app.route('/', healthRoutes(ready));
  app.use('/_int/*', requireToken(token));
  app.route('/_int/tenancy', tenancyRoutes(tenancy));
  return app;
}
