import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * How a request fails, as Stripe does: `conflict` another request with the key is in flight (409, not saved); `limited` 429
 * (not saved); `failed` 500 before anything was made, and saved; `failed-late` 500 after it was made, and saved; `lost` made,
 * and the connection ends before the answer; `silent` made, and no answer comes.
 */
export type Fault = 'conflict' | 'limited' | 'failed' | 'failed-late' | 'lost' | 'silent';

type Params = { [key: string]: string | Params };
type Entity = { id: string; object: string; created: number } & Record<string, unknown>;
interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export interface StripeServer {
  readonly port: number;
  readonly customers: Entity[];
  readonly invoices: Entity[];
  readonly items: Entity[];
  readonly notes: Entity[];
  readonly events: { identifier: string; event_name: string; timestamp: number; customer: string; value: number }[];
  /** Every request that came in: method, path, key. */
  readonly requests: {
    method: string;
    path: string;
    key: string | undefined;
    params: Params;
    fault: Fault | undefined;
  }[];
  /** The next requests that make something (POST, DELETE) fail so, in this order. */
  fail(...faults: (Fault | undefined)[]): void;
  /** Any request may fail so. */
  failWith(choose: (path: string) => Fault | undefined): void;
  /** Forgets the saved answers and identifiers, as Stripe may after a day. */
  forgetKeys(): void;
  close(): Promise<void>;
}

const paths =
  /^\/v1\/(customers|invoices|invoiceitems|credit_notes|billing\/meter_events|billing\/meters)(?:\/([^/]+))?(?:\/(\w+))?$/;

/** A local server that speaks Stripe's wire format: form encoding in, JSON out, idempotency keys as its documents say. */
export async function startStripeServer(): Promise<StripeServer> {
  const saved = new Map<string, { params: string; answer: Answer }>();
  const inFlight = new Set<string>();
  const identifiers = new Set<string>();
  const planned: (Fault | undefined)[] = [];
  let choose: (path: string) => Fault | undefined = () => undefined;
  const [customers, invoices, items, notes]: [Entity[], Entity[], Entity[], Entity[]] = [[], [], [], []];
  const [events, requests]: [StripeServer['events'], StripeServer['requests']] = [[], []];
  const open = new Set<ServerResponse>();

  const make = (list: Entity[], prefix: string, object: string, params: Params): Entity => {
    const entity = { ...params, id: `${prefix}_${randomBytes(8).toString('hex')}`, object, created: now() };
    list.unshift(entity);
    return entity;
  };
  const subtotal = (invoice: string): number =>
    items.filter((item) => item['invoice'] === invoice).reduce((sum, item) => sum + Number(item['amount']), 0);
  const shown = (invoice: Entity): Entity => ({
    ...invoice,
    subtotal: subtotal(invoice.id),
    total: subtotal(invoice.id),
  });

  function run(method: string, path: string, params: Params): Answer {
    const [, kind = '', id, action] = paths.exec(path) ?? [];
    const list = (of: Entity[]): Answer => ok({ object: 'list', url: path, has_more: false, data: of });
    const after = Number((params['created'] as Params | undefined)?.['gte'] ?? 0);
    if (kind === 'customers') {
      if (method === 'GET') return list(customers.filter(({ created }) => created >= after));
      return ok(make(customers, 'cus', 'customer', params));
    }
    if (kind === 'invoiceitems') {
      const of = invoices.find((invoice) => invoice.id === params['invoice']);
      if (method === 'GET') return list(items.filter((item) => item['invoice'] === params['invoice']));
      if (of === undefined) return missing('invoice');
      if (of['status'] !== 'draft') return invalid('invoice_not_editable', 'This invoice is no longer editable');
      if (!/^-?\d+$/.test(textOf(params['amount'])))
        return invalid('parameter_invalid_integer', 'Invalid integer', 'amount');
      return ok(make(items, 'ii', 'invoiceitem', params));
    }
    if (kind === 'credit_notes') {
      if (method === 'GET') return list(notes.filter((note) => note['invoice'] === params['invoice']));
      return ok(make(notes, 'cn', 'credit_note', params));
    }
    if (kind === 'billing/meters') {
      const [start, end] = [Number(params['start_time']), Number(params['end_time'])];
      const counted = events.filter(
        (e) => e.customer === params['customer'] && e.timestamp >= start && e.timestamp < end,
      );
      const sum = counted.reduce((all, { value }) => all + value, 0);
      return list([{ id: 'mtrusg_1', object: 'billing.meter_event_summary', created: now(), aggregated_value: sum }]);
    }
    if (kind === 'billing/meter_events') {
      const [identifier, payload] = [textOf(params['identifier']), params['payload'] as Params];
      const timestamp = Number(params['timestamp']);
      if (identifiers.has(identifier)) {
        return invalid(undefined, `An event already exists with identifier ${identifier}.`);
      }
      if (timestamp < now() - 35 * 86_400 || timestamp > now() + 300) {
        return invalid('timestamp_too_far_in_past', 'Timestamp is out of range', 'timestamp');
      }
      identifiers.add(identifier);
      const [customer, value] = [textOf(payload['stripe_customer_id']), Number(payload['value'])];
      events.push({ identifier, event_name: textOf(params['event_name']), timestamp, customer, value });
      return ok({ object: 'billing.meter_event', created: now(), identifier, timestamp, payload, livemode: false });
    }
    if (kind === 'invoices') {
      if (id === undefined && method === 'POST') {
        return ok(shown(make(invoices, 'in', 'invoice', { ...params, status: 'draft' })));
      }
      if (id === undefined) {
        return list(invoices.filter((i) => i['customer'] === params['customer'] && i.created >= after).map(shown));
      }
      const invoice = invoices.find((each) => each.id === id);
      if (invoice === undefined) return missing('invoice');
      if (method === 'DELETE') {
        if (invoice['status'] !== 'draft') return invalid(undefined, 'You can only delete draft invoices');
        invoices.splice(invoices.indexOf(invoice), 1);
        return ok({ id, object: 'invoice', deleted: true });
      }
      if (action === 'finalize') {
        if (invoice['status'] !== 'draft') return invalid('invoice_not_editable', 'This invoice is already finalized');
        invoice['status'] = subtotal(id) === 0 ? 'paid' : 'open';
      } else if (action === 'void') {
        if (invoice['status'] !== 'open') return invalid(undefined, 'You can only void an open invoice');
        invoice['status'] = 'void';
      }
      return ok(shown(invoice));
    }
    return {
      status: 404,
      body: { error: { type: 'invalid_request_error', message: `Unrecognized request URL (${path})` } },
    };
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    open.add(response);
    response.on('close', () => open.delete(response));
    let body = '';
    for await (const chunk of request) body += String(chunk);
    const url = new URL(request.url ?? '/', 'http://stripe');
    const method = request.method ?? 'GET';
    const params = decode(method === 'GET' ? url.searchParams.toString() : body);
    const key = request.headers['idempotency-key'] as string | undefined;
    const fault = (method === 'GET' ? undefined : planned.shift()) ?? choose(url.pathname);
    requests.push({ method, path: url.pathname, key, params, fault });
    const reply = ({ status, body: content }: Answer, headers: Record<string, string> = {}): void => {
      response.writeHead(status, {
        'Content-Type': 'application/json',
        'Request-Id': `req_${randomBytes(6).toString('hex')}`,
        ...headers,
      });
      response.end(JSON.stringify(content));
    };
    if (request.headers.authorization !== 'Bearer sk_test_local') {
      return reply({
        status: 401,
        body: { error: { type: 'invalid_request_error', message: 'Invalid API Key provided: sk_test_****' } },
      });
    }
    if (method === 'POST' && !String(request.headers['content-type']).startsWith('application/x-www-form-urlencoded')) {
      return reply(invalid(undefined, 'Invalid request: expected a form'));
    }
    if (fault === 'limited') {
      return reply(error(429, 'invalid_request_error', 'Too many requests', 'rate_limit'), { 'Retry-After': '0.01' });
    }
    if (fault === 'conflict' || (key !== undefined && inFlight.has(key))) {
      const message = 'There is currently another in-progress request using this Idempotent Key';
      return reply(error(409, 'idempotency_error', message, 'idempotency_key_in_use'));
    }
    const known = method === 'GET' || key === undefined ? undefined : saved.get(key);
    if (known !== undefined) {
      if (known.params !== `${method} ${url.pathname} ${body}`) {
        return reply(
          error(400, 'idempotency_error', 'Keys for idempotent requests can only be used with the same parameters'),
        );
      }
      if (fault === 'lost') return void request.socket.destroy();
      if (fault === 'silent') return;
      return reply(known.answer, { 'Idempotent-Replayed': 'true' });
    }
    if (key !== undefined) inFlight.add(key);
    // a moment in which another request with the key meets this one
    await new Promise((done) => setImmediate(done));
    const apiError = error(500, 'api_error', 'An unknown error occurred');
    const answer = fault === 'failed' ? apiError : run(method, url.pathname, params);
    const told = fault === 'failed-late' ? apiError : answer;
    // What fails validation is not saved: nothing was executed.
    if (method !== 'GET' && key !== undefined && (told.status < 400 || told.status >= 500)) {
      saved.set(key, { params: `${method} ${url.pathname} ${body}`, answer: told });
    }
    if (key !== undefined) inFlight.delete(key);
    if (fault === 'lost') return void request.socket.destroy();
    if (fault === 'silent') return;
    reply(told);
  }

  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    customers,
    invoices,
    items,
    notes,
    events,
    requests,
    fail: (...faults) => void planned.push(...faults),
    failWith(fn) {
      choose = fn;
    },
    forgetKeys() {
      saved.clear();
      identifiers.clear();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

const textOf = (value: string | Params | undefined): string => (typeof value === 'string' ? value : '');
const now = (): number => Math.floor(Date.now() / 1000);
const ok = (body: unknown): Answer => ({ status: 200, body });
const error = (status: number, type: string, message: string, code?: string, param?: string): Answer => ({
  status,
  body: {
    error: { type, message, ...(code === undefined ? {} : { code }), ...(param === undefined ? {} : { param }) },
  },
});
const invalid = (code: string | undefined, message: string, param?: string): Answer =>
  error(400, 'invalid_request_error', message, code, param);
const missing = (what: string): Answer =>
  error(404, 'invalid_request_error', `No such ${what}`, 'resource_missing', what);

/** `metadata[a]=1&period[start]=2` */
function decode(text: string): Params {
  const params: Params = {};
  for (const [name, value] of new URLSearchParams(text)) {
    const path = name.split(/[[\]]+/).filter((part) => part !== '');
    let at = params;
    for (const part of path.slice(0, -1)) at = (at[part] ??= {}) as Params;
    at[path.at(-1)!] = value;
  }
  return params;
}
