import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Provider } from 'oidc-provider';

/** What goes wrong with a request to the provider. */
export type Fault =
  /** The connection is cut before the provider has seen the request. */
  | 'cut'
  /** The provider does what was asked, and the answer never arrives. */
  | 'lost answer'
  | 'hang'
  | number;

export interface LocalProvider {
  readonly issuer: string;
  readonly redirectUri: string;
  readonly clientId: string;
  readonly clientSecret: string;
  /** Requests since the start, by path. */
  readonly calls: Map<string, number>;
  /** Every secret that went over the wire, in either direction. */
  readonly secrets: Set<string>;
  /** Applied to requests of this path, as long as it is there. */
  readonly faults: Map<string, Fault>;
  /** Whether refresh tokens change with each use (then the old one is refused, and all of its family), or stay (as Google's). */
  rotate: boolean;
  /** Milliseconds that each request of the token endpoint takes longer. */
  delayMs: number;
  /** Goes through sign-in and consent as a browser would; returns the URL of the callback. */
  browse(url: string, login: string, choice?: 'accept' | 'abort'): Promise<string>;
  /** Kills every grant: refresh tokens are refused from now on. */
  revokeAll(): Promise<void>;
  /** Stops listening; `up` listens again on the same port. */
  down(): Promise<void>;
  up(): Promise<void>;
  close(): Promise<void>;
}

const clientId = 'tenantry';
const clientSecret = 'client-secret-0123456789';

/** A real OpenID provider over http on 127.0.0.1, with ways to fail. */
export async function startLocalProvider({
  refreshTokens = true,
  revocation = true,
}: {
  refreshTokens?: boolean;
  revocation?: boolean;
} = {}): Promise<LocalProvider> {
  let handler: ((req: IncomingMessage, res: ServerResponse) => void) | undefined;
  const calls = new Map<string, number>();
  const secrets = new Set<string>([clientSecret]);
  const faults = new Map<string, Fault>();
  const state = { rotate: false, delayMs: 0 };
  const grants = new Set<string>();

  const server = createServer((req, res) => {
    const path = new URL(req.url ?? '/', 'http://x').pathname;
    calls.set(path, (calls.get(path) ?? 0) + 1);
    const fault = faults.get(path);
    if (fault === 'cut') req.socket.destroy();
    else if (typeof fault === 'number') res.writeHead(fault, { 'content-type': 'text/html' }).end('<h1>no</h1>');
    if (fault !== undefined && fault !== 'lost answer') return; // 'hang': nothing at all
    if (fault === 'lost answer') res.end = () => (req.socket.destroy(), res);
    setTimeout(() => handler?.(req, res), path === '/token' ? state.delayMs : 0);
  });
  const listen = (port: number): Promise<void> => new Promise((done) => server.listen(port, '127.0.0.1', done));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const redirectUri = 'http://127.0.0.1:9/oauth/callback';

  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: clientId,
        client_secret: clientSecret,
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token'],
      },
    ],
    cookies: { keys: ['cookie-key'] },
    claims: { openid: ['sub'], email: ['email'] },
    scopes: ['openid', 'offline_access', 'email', 'mail.read', 'mail.send'],
    features: { revocation: { enabled: revocation } },
    pkce: { required: () => true },
    issueRefreshToken: async (_ctx, client) => refreshTokens && client.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: () => state.rotate,
    ttl: {
      AccessToken: 3600,
      RefreshToken: 86_400,
      Grant: 86_400,
      Session: 86_400,
      Interaction: 600,
      IdToken: 600,
      AuthorizationCode: 60,
    },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id, email: `${id}@example.com` }) }),
  });
  provider.on('grant.success', (ctx) => {
    const body = ctx.body as Record<string, string> | undefined;
    for (const name of ['access_token', 'refresh_token', 'id_token'] as const)
      if (body?.[name] !== undefined) secrets.add(body[name]);
    const params = ctx.oidc.params as Record<string, string>;
    for (const name of ['code', 'code_verifier']) if (params[name] !== undefined) secrets.add(params[name]);
    if (ctx.oidc.entities.Grant?.jti !== undefined) grants.add(ctx.oidc.entities.Grant.jti);
  });
  handler = provider.callback() as typeof handler;

  const self: LocalProvider = {
    issuer,
    redirectUri,
    clientId,
    clientSecret,
    calls,
    secrets,
    faults,
    get rotate() {
      return state.rotate;
    },
    set rotate(value) {
      state.rotate = value;
    },
    get delayMs() {
      return state.delayMs;
    },
    set delayMs(value) {
      state.delayMs = value;
    },
    async browse(start, login, choice = 'accept') {
      const jar = new Map<string, string>();
      let next = start;
      let form: string | undefined;
      for (let steps = 0; steps < 20; steps += 1) {
        if (next.startsWith(redirectUri)) return next;
        const answer: Response = await fetch(next, {
          redirect: 'manual',
          headers: {
            cookie: [...jar].map(([name, value]) => `${name}=${value}`).join('; '),
            ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          },
          ...(form === undefined ? {} : { method: 'POST', body: form }),
        });
        form = undefined;
        for (const cookie of answer.headers.getSetCookie()) {
          const [, name, value] = /^([^=]+)=([^;]*)/.exec(cookie) ?? [];
          if (name !== undefined && value !== undefined) jar.set(name, value);
        }
        const location = answer.headers.get('location');
        if (location !== null) {
          next = new URL(location, next).href;
          continue;
        }
        const page = await answer.text();
        const abort = /href="([^"]*\/abort)"/.exec(page)?.[1];
        if (choice === 'abort' && abort !== undefined) {
          next = new URL(abort, next).href;
          continue;
        }
        const prompt = /name="prompt" value="(\w+)"/.exec(page)?.[1];
        if (prompt === undefined) throw new Error(`unexpected page ${answer.status} at ${next}: ${page.slice(0, 300)}`);
        const action = /action="([^"]+)"/.exec(page)?.[1] ?? next;
        next = new URL(action, next).href;
        form = new URLSearchParams({ prompt, ...(prompt === 'login' ? { login, password: 'x' } : {}) }).toString();
      }
      throw new Error('the provider sent the browser in circles');
    },
    async revokeAll() {
      for (const id of grants) await (await provider.Grant.find(id))?.destroy();
    },
    down: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
    up: () => listen(port),
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
  return self;
}

/** Requests of the path while `fn` runs. */
export async function callsDuring(provider: LocalProvider, path: string, fn: () => Promise<unknown>): Promise<number> {
  const before = provider.calls.get(path) ?? 0;
  await fn();
  return (provider.calls.get(path) ?? 0) - before;
}
