import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { rootCertificates } from 'node:tls';
import { checkedAddresses, type NetworkRules, webhookUrl } from './address.ts';

export interface SendOptions extends NetworkRules {
  /** Until the whole answer is there. Milliseconds, default 15,000. */
  readonly timeoutMs?: number;
  /** How much of an answer is read. Bytes, default 65,536. */
  readonly maxResponseBytes?: number;
  /** Certificate authorities (PEM) beside Node's own: for receivers inside a company. */
  readonly ca?: string;
}

export interface Answer {
  readonly status: number;
  /** The beginning of the body. */
  readonly body: string;
  /** From Retry-After. Milliseconds. */
  readonly retryAfterMs?: number;
}

const keptBytes = 1024;

/**
 * Posts to an endpoint's URL: to an address that was checked, without following redirects, within a time and a size.
 *
 * @throws TNT_WEBHOOK_URL_REFUSED, and whatever the network says
 */
export async function post(
  target: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
  options: SendOptions = {},
): Promise<Answer> {
  const { timeoutMs = 15_000 } = options;
  const url = webhookUrl(target, options);
  const timeout = AbortSignal.timeout(timeoutMs);
  const until = AbortSignal.any([signal, timeout]);
  try {
    const addresses = await orAbort(checkedAddresses(url, options), until);
    return await exchange(url, addresses, headers, body, until, options);
  } catch (error) {
    if (timeout.aborted) throw new Error(`no answer within ${timeoutMs} ms`, { cause: error });
    throw error;
  }
}

function exchange(
  url: URL,
  addresses: readonly string[],
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
  { maxResponseBytes = 65_536, ca }: SendOptions,
): Promise<Answer> {
  return new Promise<Answer>((resolve, reject) => {
    const request = (url.protocol === 'https:' ? requestHttps : requestHttp)(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) },
      lookup: fixedLookup(addresses),
      agent: false,
      signal,
      maxHeaderSize: 16_384,
      ...(ca === undefined ? {} : { ca: [...rootCertificates, ca] }),
    });
    request.once('error', reject);
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = (): void => {
        const status = response.statusCode ?? 0;
        const retryAfterMs = readRetryAfter(response.headers['retry-after']);
        resolve({
          status,
          body: textOf(Buffer.concat(chunks).subarray(0, keptBytes)),
          ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        });
      };
      response.on('data', (chunk: Buffer) => {
        if (size < keptBytes) chunks.push(chunk);
        size += chunk.length;
        if (size <= maxResponseBytes) return;
        done(); // what the receiver says beyond that is nobody's concern
        request.destroy();
      });
      response.once('end', done);
      response.once('error', reject);
    });
    request.end(body);
  });
}

/** Node resolves through this and gets what was checked, whatever the name says by now. */
function fixedLookup(addresses: readonly string[]): LookupFunction {
  const all = addresses.map((address) => ({ address, family: isIP(address) }));
  return (_host, options, done) => {
    if (options.all === true) done(null, all);
    else done(null, all[0]?.address ?? '', all[0]?.family ?? 4);
  };
}

/** RFC 9110, section 10.2.3: seconds or a date. */
function readRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? Math.min(ms, 24 * 3_600_000) : undefined;
}

/** PostgreSQL has no room for zero bytes. */
const textOf = (bytes: Buffer): string => bytes.toString('utf8').replaceAll('\0', '');

function orAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return Promise.race([
    promise,
    new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    }),
  ]);
}
