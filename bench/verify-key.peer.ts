import { existsSync } from 'node:fs';
import pg from 'pg';

/** better-auth with its api-key plugin, on the same server, set up as its documentation says. */
export interface BetterAuth {
  readonly keys: readonly string[];
  verify(key: string): Promise<void>;
  close(): Promise<void>;
}

interface Auth {
  readonly options: object;
  readonly api: {
    signUpEmail(input: { body: object }): Promise<{ user: { id: string } }>;
    createApiKey(input: { body: object }): Promise<{ key: string }>;
    verifyApiKey(input: { body: { key: string } }): Promise<{ valid: boolean }>;
  };
}

/** Undefined where bench/node_modules is not installed. */
export async function openBetterAuth(url: string, count: number, connections: number): Promise<BetterAuth | undefined> {
  const folder = new URL('../../node_modules/better-auth/package.json', import.meta.url);
  if (!existsSync(folder)) return undefined;
  const names = ['better-auth', '@better-auth/api-key', 'better-auth/db/migration'] as const;
  const [main, plugin, migration] = (await Promise.all(names.map((name) => import(name as string)))) as [
    { betterAuth(options: object): Auth },
    { apiKey(options: object): object },
    { getMigrations(options: object): Promise<{ runMigrations(): Promise<void> }> },
  ];
  const pool = new pg.Pool({ connectionString: url, max: connections });
  const auth = main.betterAuth({
    database: pool,
    baseURL: 'http://localhost:3000',
    secret: 'a secret of at least thirty-two characters',
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
    logger: { disabled: true },
    // its limits write a row more per verification
    plugins: [plugin.apiKey({ rateLimit: { enabled: false } })],
  });
  await (await migration.getMigrations(auth.options)).runMigrations();
  const { user } = await auth.api.signUpEmail({
    body: { email: 'bench@example.com', password: 'correct horse battery', name: 'Bench' },
  });
  const keys: string[] = [];
  for (let i = 0; i < count; i += 1) {
    const { key } = await auth.api.createApiKey({ body: { userId: user.id, name: `key ${i}` } });
    keys.push(key);
  }
  return {
    keys,
    async verify(key) {
      const { valid } = await auth.api.verifyApiKey({ body: { key } });
      if (!valid) throw new Error('better-auth refused a valid key');
    },
    close: () => pool.end(),
  };
}
