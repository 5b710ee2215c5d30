import { lookup as resolve } from 'node:dns';
import { type IncomingMessage, request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';
import { TenantryError } from '../../errors.ts';

const maxBytes = 1_048_576;

/** Everything that is not the public internet (IANA special-purpose registries of IPv4 and IPv6). */
const special = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  special.addSubnet(net, bits, 'ipv4');

const globalUnicast = new BlockList();
globalUnicast.addSubnet('2000::', 3, 'ipv6');
const specialV6 = new BlockList();
for (const [net, bits] of [
  ['2001::', 23], // Teredo, ORCHID, benchmarking
  ['2001:db8::', 32],
  ['2002::', 16], // 6to4 carries an IPv4 address inside
  ['3fff::', 20],
] as const)
  specialV6.addSubnet(net, bits, 'ipv6');

/** Whether an address belongs to the public internet. IPv6 is refused unless it is plain global unicast. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 4) return !special.check(address, 'ipv4');
  if (isIP(address) !== 6) return false;
  return globalUnicast.check(address, 'ipv6') && !specialV6.check(address, 'ipv6');
}

export interface GuardOptions {
  readonly allowPrivateAddresses: boolean;
  readonly allowInsecure: boolean;
}

interface FetchOptions {
  readonly method: string;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

/**
 * A fetch for addresses that somebody else wrote down. The address that is connected to is the address that was checked
 * (no second resolution in between), redirects are not followed, and an answer has an end.
 *
 * @throws TNT_OAUTH_ADDRESS_REFUSED
 */
export function guardedFetch({ allowPrivateAddresses, allowInsecure }: GuardOptions) {
  const allowed = (address: string): boolean => allowPrivateAddresses || isPublicAddress(address);
  const checkedLookup: LookupFunction = (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return done(error, '');
      const bad = addresses.find(({ address }) => !allowed(address));
      const [first] = addresses;
      if (bad !== undefined || first === undefined) return done(refused(hostname), '');
      return options.all === true ? done(null, addresses) : done(null, first.address, first.family);
    });
  };
  return async (address: string, { method, headers, body, signal }: FetchOptions): Promise<Response> => {
    const url = new URL(address);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && allowInsecure)) throw refused(host);
    if (isIP(host) !== 0 && !allowed(host)) throw refused(host); // a literal address is never looked up
    const payload = body instanceof URLSearchParams ? body.toString() : typeof body === 'string' ? body : undefined;
    const options: RequestOptions = {
      method,
      headers,
      lookup: checkedLookup,
      agent: false, // a pooled socket may have been opened to an address that nobody checked
      ...(signal === undefined ? {} : { signal }),
    };
    const answer = await new Promise<IncomingMessage>((done, failed) => {
      const request = (url.protocol === 'https:' ? httpsRequest : httpRequest)(url, options, done);
      request.on('error', failed);
      request.end(payload);
    });
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > maxBytes) {
        answer.destroy();
        throw new TenantryError('TNT_OAUTH_REFUSED', `The answer of ${host} is longer than ${maxBytes} bytes.`);
      }
      chunks.push(chunk);
    }
    const status = answer.statusCode ?? 500;
    const empty = status === 204 || status === 304;
    return new Response(empty ? null : Buffer.concat(chunks), { status, headers: headersOf(answer) });
  };
}

function headersOf(answer: IncomingMessage): Headers {
  const headers = new Headers();
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) headers.append(name, one);
  }
  return headers;
}

const refused = (host: string): TenantryError =>
  new TenantryError('TNT_OAUTH_ADDRESS_REFUSED', `The provider's address ${host} is private or not reached by https.`, {
    details: { host },
  });
