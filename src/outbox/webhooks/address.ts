import { lookup } from 'node:dns/promises';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { TenantryError } from '../../errors.ts';

/** Where webhooks may be sent. The default is the public internet by https, and nothing else. */
export interface NetworkRules {
  /** Addresses that are allowed although they are private: all of them, or these networks (`10.1.0.0/16`). Defaults to none. */
  readonly allowPrivate?: boolean | readonly string[];
  /** Whether plain http is allowed. Defaults to false. */
  readonly allowHttp?: boolean;
  /** How a name is resolved; to be replaced where a process has a resolver of its own. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

/** RFC 6890 and its registry: everything that is not globally reachable. 169.254.169.254 is where clouds keep credentials. */
const notPublic = [
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
] as const;
/** Inside the global unicast space 2000::/3, and not public all the same; 2001::/23 and 2002::/16 carry IPv4 addresses. */
const notPublic6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const;

const blocked = new BlockList();
for (const [net, prefix] of notPublic) blocked.addSubnet(net, prefix, 'ipv4');
for (const [net, prefix] of notPublic6) blocked.addSubnet(net, prefix, 'ipv6');
const global6 = new BlockList();
global6.addSubnet('2000::', 3, 'ipv6');

/** An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`, also as `::ffff:a00:1`) is that IPv4 address. */
function unmapped(address: string): string {
  const plain = new URL(`http://[${address.split('%')[0]}]/`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(plain) ?? [];
  if (high === undefined || low === undefined) return plain;
  const [a, b] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [a >> 8, a & 255, b >> 8, b & 255].join('.');
}

/** Whether a packet to this address can only go to the public internet. */
export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  const plain = isIPv4(address) ? address : unmapped(address);
  return isIPv4(plain) ? !blocked.check(plain, 'ipv4') : global6.check(plain, 'ipv6') && !blocked.check(plain, 'ipv6');
}

function isAllowed(address: string, { allowPrivate = false }: NetworkRules): boolean {
  if (allowPrivate === true || isPublicAddress(address)) return true;
  if (allowPrivate === false) return false;
  const plain = isIPv4(address) ? address : unmapped(address);
  const family = isIPv4(plain) ? 'ipv4' : 'ipv6';
  const allowed = new BlockList();
  for (const network of allowPrivate) {
    const [net = '', prefix] = network.split('/');
    const kind = isIPv4(net) ? 'ipv4' : 'ipv6';
    allowed.addSubnet(net, prefix === undefined ? (kind === 'ipv4' ? 32 : 128) : Number(prefix), kind);
  }
  return allowed.check(plain, family);
}

/**
 * Reads the URL of an endpoint. Decimal, octal and hexadecimal hosts are what the WHATWG URL parser makes of them: addresses.
 *
 * @throws TNT_WEBHOOK_URL_REFUSED naming what is wrong; the URL itself is not repeated
 */
export function webhookUrl(text: string, rules: NetworkRules = {}): URL {
  const refuse = (problem: string): never => {
    throw new TenantryError('TNT_WEBHOOK_URL_REFUSED', `url: ${problem}.`);
  };
  const url = URL.canParse(text) ? new URL(text) : refuse('is no URL');
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && rules.allowHttp === true)) refuse('must be https');
  if (url.username !== '' || url.password !== '') refuse('must not hold a user name or password');
  if (url.hash !== '') refuse('must not have a fragment');
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(host) !== 0 && !isAllowed(host, rules)) refuse('points to a private address');
  if (/(^|\.)localhost\.?$/.test(host) && rules.allowPrivate !== true) refuse('points to this machine');
  return url;
}

const resolveAll = async (host: string): Promise<string[]> =>
  (await lookup(host, { all: true })).map(({ address }) => address);

/**
 * The addresses of a URL's host, each of them checked. A connection goes to one of these and the name is not resolved
 * again: a server that answers differently the second time (DNS rebinding) gains nothing.
 *
 * @throws TNT_WEBHOOK_URL_REFUSED when a single one is private
 */
export async function checkedAddresses(url: URL, rules: NetworkRules): Promise<readonly string[]> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const addresses = isIP(host) === 0 ? await (rules.resolve ?? resolveAll)(host) : [host];
  if (addresses.length === 0) throw new TenantryError('TNT_WEBHOOK_URL_REFUSED', 'url: its host has no address.');
  if (!addresses.every((address) => isAllowed(address, rules))) {
    throw new TenantryError('TNT_WEBHOOK_URL_REFUSED', 'url: its host has a private address.');
  }
  return addresses;
}
