import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Claim, membership, subdomain, type TenantContextOptions } from '../../src/adapters/request-context.ts';
import { currentTenant, withTenant } from '../../src/context/index.ts';
import { TenantryError } from '../../src/errors.ts';
import { createPool, type TenantPool } from '../../src/pool/index.ts';
import { createTenantry, type Tenantry } from '../../src/tenantry.ts';
import { createNotes, type Tenant } from '../conformance/notes.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';

/** What the routes of every framework's application do. */
export interface Handlers {
  /** GET /notes: ids of the tenant's notes. */
  notes(): Promise<string[]>;
  /** GET /timer: the same, from a timer. */
  timer(): Promise<string[]>;
  /** POST /events and POST /json: called for each piece of the body. */
  piece(): Promise<string[]>;
  /** GET /refused: throws an error of Tenantry. */
  refused(): Promise<never>;
  /** GET /broken: throws another. */
  broken(): Promise<never>;
}

export type AppOptions = Omit<TenantContextOptions<unknown>, 'identify'> & {
  readonly identify: (header: (name: string) => string | undefined) => Claim;
};

export interface App {
  fetch(path: string, init?: RequestInit): Promise<Response>;
  close(): Promise<void>;
}

export interface Framework {
  readonly name: string;
  start(handlers: Handlers, options: AppOptions): Promise<App>;
}

const tenantCount = 50;
const requestCount = 200;
const connections = 4;

interface Customer extends Tenant {
  readonly userId: string;
  readonly slug: string;
}

/** The one suite that every framework's middleware passes. */
export function describeMiddleware(framework: Framework): void {
  describe(`D5 requests through ${framework.name}`, () => {
    let database: TestDatabase;
    let pool: TenantPool;
    let t: Tenantry;
    let customers: Customer[];
    let a: Customer;
    let b: Customer;
    let app: App;
    const opened: App[] = [];

    const identify: AppOptions['identify'] = (header) => ({ userId: header('x-user'), tenant: header('x-tenant') });
    const start = async (options: Partial<AppOptions> = {}): Promise<App> => {
      const started = await framework.start(handlers(pool), { identify, verify: membership(t), ...options });
      opened.push(started);
      return started;
    };
    const as = ({ userId, tenantId }: Pick<Customer, 'userId' | 'tenantId'>): Record<string, string> => ({
      'x-user': userId,
      'x-tenant': tenantId,
    });
    const get = (path: string, headers: Record<string, string> = {}, on = app): Promise<Response> =>
      on.fetch(path, { headers });

    beforeAll(async () => {
      database = await createTestDatabase();
      const tenants = await createNotes(database, tenantCount);
      customers = tenants.map((tenant, at) => ({ ...tenant, userId: randomUUID(), slug: `organization-${at + 1}` }));
      [a, b] = customers as [Customer, Customer];
      await addMembers(database, customers);
      pool = createPool({ connectionString: database.appUrl, max: connections });
      t = createTenantry({ pool });
      app = await start();
    });
    afterAll(async () => {
      for (const each of opened) await each.close();
      await pool?.end();
      await database?.drop();
    });

    it('runs a request of a member for the tenant it names', async () => {
      for (const customer of [a, b]) {
        const response = await get('/notes', as(customer));
        expect(response.status).toBe(200);
        expect(await response.json()).toEqual([...customer.noteIds].sort());
      }
    });

    it('finds the tenant by its slug, in a header or the host name', async () => {
      expect(await (await get('/notes', { 'x-user': a.userId, 'x-tenant': a.slug })).json()).toEqual(
        [...a.noteIds].sort(),
      );
      const hosts = await start({
        identify: (header) => ({
          userId: header('x-user'),
          tenant: subdomain(header('x-forwarded-host'), 'example.com'),
        }),
      });
      const named = await get(
        '/notes',
        { 'x-user': a.userId, 'x-forwarded-host': `${a.slug}.example.com:8080` },
        hosts,
      );
      expect(await named.json()).toEqual([...a.noteIds].sort());
      const deeper = await get('/notes', { 'x-user': a.userId, 'x-forwarded-host': `x.${a.slug}.example.com` }, hosts);
      expect(deeper.status).toBe(400);
    });

    it('C7 refuses who is no member, with the same answer whether the tenant exists or not', async () => {
      const answers = [];
      for (const tenant of [b.tenantId, b.slug, randomUUID(), 'no-such-organization', '1', "' or true --", '']) {
        const response = await get('/notes', { 'x-user': a.userId, 'x-tenant': tenant });
        if (tenant !== '') answers.push({ status: response.status, body: await response.json() });
        else expect(response.status).toBeGreaterThanOrEqual(400);
      }
      for (const answer of answers) {
        expect(answer).toEqual({
          status: 403,
          body: { code: 'TNT_NOT_A_MEMBER', message: expect.any(String), details: null, hint: expect.any(String) },
        });
        expect(answer).toEqual(answers[0]);
      }
    });

    it('asks who is not signed in to do so, and who names no tenant to name one', async () => {
      const unknown = await get('/notes', { 'x-tenant': a.tenantId });
      expect([unknown.status, await unknown.json()]).toEqual([
        401,
        expect.objectContaining({ code: 'TNT_UNAUTHENTICATED' }),
      ]);
      const unnamed = await get('/notes', { 'x-user': a.userId });
      expect([unnamed.status, await unnamed.json()]).toEqual([
        400,
        expect.objectContaining({ code: 'TNT_INPUT_INVALID' }),
      ]);
    });

    it('keeps the context in timers, in events of the body and behind a body parser', async () => {
      const own = [...b.noteIds].sort();
      expect(await (await get('/timer', as(b))).json()).toEqual(own);
      const chunks = ['one', 'two', 'three'];
      const body = new ReadableStream({
        async pull(controller) {
          await new Promise((done) => setTimeout(done, 5));
          const chunk = chunks.shift();
          if (chunk === undefined) controller.close();
          else controller.enqueue(new TextEncoder().encode(chunk));
        },
      });
      const events = await app.fetch('/events', {
        method: 'POST',
        headers: { ...as(b), 'content-type': 'application/octet-stream' },
        body,
        duplex: 'half',
      });
      const seen = (await events.json()) as string[][];
      expect(seen.length).toBeGreaterThan(0);
      for (const ids of seen) expect(ids).toEqual(own);
      const json = await app.fetch('/json', {
        method: 'POST',
        headers: { ...as(b), 'content-type': 'application/json' },
        body: JSON.stringify({ large: 'x'.repeat(80_000) }),
      });
      expect(await json.json()).toEqual(own);
    });

    it(`answers ${requestCount} requests of ${tenantCount} tenants at once over ${connections} connections, each with its own rows`, async () => {
      await Promise.all(
        Array.from({ length: requestCount }, async (_, request) => {
          const customer = customers[request % tenantCount] as Customer;
          const path = request % 3 === 0 ? '/timer' : '/notes';
          const foreign = request % 7 === 0;
          const response = await get(path, foreign ? as({ ...b, userId: customer.userId }) : as(customer));
          if (foreign && customer !== b) expect(response.status).toBe(403);
          else expect(await response.json()).toEqual([...customer.noteIds].sort());
        }),
      );
    });

    it('answers errors of Tenantry with their status and body, and leaves others to the framework', async () => {
      const refused = await get('/refused', as(a));
      expect([refused.status, await refused.json()]).toEqual([
        409,
        {
          code: 'TNT_SLUG_TAKEN',
          message: 'The slug is taken.',
          details: { slug: 'acme' },
          hint: 'Choose another slug.',
        },
      ]);
      const broken = await get('/broken', as(a));
      expect(broken.status).toBe(500);
      expect(await broken.text()).not.toContain('TNT_');
    });

    it('sends the ids in response headers when asked, and not otherwise', async () => {
      const silent = await get('/notes', as(a));
      expect([silent.headers.get('x-tenant-id'), silent.headers.get('x-user-id')]).toEqual([null, null]);
      const telling = await get('/notes', as(a), await start({ responseHeaders: true }));
      expect([telling.headers.get('x-tenant-id'), telling.headers.get('x-user-id')]).toEqual([a.tenantId, a.userId]);
    });

    it('lets a route refuse a member, and add to the context', async () => {
      const strict = await start({
        authorize: ({ userId }) => {
          if (userId === a.userId) throw new TenantryError('TNT_FORBIDDEN', 'Not on this route.');
          return { workspaceId: b.notebookId };
        },
      });
      const refused = await get('/notes', as(a), strict);
      expect([refused.status, await refused.json()]).toEqual([403, expect.objectContaining({ code: 'TNT_FORBIDDEN' })]);
      expect(await (await get('/notes', as(b), strict)).json()).toEqual([...b.noteIds].sort());
    });

    it('runs as the user alone, or without any context, where a route allows it', async () => {
      const userOnly = await get('/notes', { 'x-user': a.userId }, await start({ require: 'user' }));
      expect([userOnly.status, await userOnly.json()]).toEqual([200, []]);
      const anonymous = await get('/notes', {}, await start({ require: 'nothing' }));
      expect([anonymous.status, await anonymous.json()]).toEqual([
        500,
        expect.objectContaining({ code: 'TNT_CONTEXT_MISSING' }),
      ]);
    });

    it("says so when identify returns no user's id of ours", async () => {
      const response = await get('/notes', { 'x-user': '42', 'x-tenant': a.tenantId });
      expect([response.status, await response.json()]).toEqual([
        500,
        expect.objectContaining({ code: 'TNT_CONFIG_INVALID' }),
      ]);
    });

    it('passes on what identify throws', async () => {
      const failing = await start({
        identify: () => {
          throw new Error('bad token');
        },
      });
      expect((await get('/notes', as(a), failing)).status).toBe(500);
    });
  });
}

function handlers(pool: TenantPool): Handlers {
  const notes = async (): Promise<string[]> => {
    const { rows } = await pool.query<{ id: string }>('select id from notes order by id');
    return rows.map(({ id }) => id);
  };
  return {
    notes,
    timer: () => new Promise((resolve, reject) => setTimeout(() => void notes().then(resolve, reject), 2)),
    piece: notes,
    refused: async () => {
      // what happens inside a nested context does not matter to the answer
      await withTenant(currentTenant(), () => notes());
      throw new TenantryError('TNT_SLUG_TAKEN', 'The slug is taken.', { details: { slug: 'acme' } });
    },
    broken: async () => {
      throw new Error('broken');
    },
  };
}

async function addMembers(database: TestDatabase, customers: readonly Customer[]): Promise<void> {
  const users = customers.map(({ userId }) => userId);
  await database.query(
    `insert into tenantry.users (id, email) select id, 'user-' || n || '@example.com' from unnest($1::uuid[]) with ordinality as u (id, n)`,
    [users],
  );
  await database.query(
    `insert into tenantry.org_members (tenant_id, user_id, role) select tenant_id, user_id, 'admin' from unnest($1::uuid[], $2::uuid[]) as m (tenant_id, user_id)`,
    [customers.map(({ tenantId }) => tenantId), users],
  );
}
