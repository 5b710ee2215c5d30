import { BlockList, isIP } from 'node:net';

type Family = 'ipv4' | 'ipv6';

const familyOf = (address: string): Family => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** `10.0.0.0/8`, `2001:db8::/32` or one address. Undefined when a text is none of them. */
export function parseNetwork(text: string): { address: string; bits: number; family: Family } | undefined {
  const [address = '', length, more] = text.split('/');
  if (isIP(address) === 0 || more !== undefined || address.includes('%')) return undefined;
  const family = familyOf(address);
  const most = family === 'ipv4' ? 32 : 128;
  if (length === undefined) return { address, bits: most, family };
  const bits = Number(length);
  return /^\d{1,3}$/.test(length) && bits <= most ? { address, bits, family } : undefined;
}

/** A set of networks; what is no network is left out. */
export function networks(list: readonly string[]): BlockList {
  const set = new BlockList();
  for (const text of list) {
    const network = parseNetwork(text);
    if (network !== undefined) set.addSubnet(network.address, network.bits, network.family);
  }
  return set;
}

/** Whether an address is in one of the networks. An IPv4 address inside IPv6 (`::ffff:10.0.0.1`) is the IPv4 one. */
export function inNetworks(set: BlockList, address: string | undefined): boolean {
  const plain = address === undefined ? undefined : plainAddress(address);
  return plain !== undefined && set.check(plain, familyOf(plain));
}

function plainAddress(address: string): string | undefined {
  const text = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1] ?? text;
  return isIP(mapped) === 0 ? undefined : mapped;
}

/**
 * The address that a request comes from. `x-forwarded-for` is written by anybody: it is read from its end, and only as
 * far as the proxies in front are known. Without known proxies it is the address of the connection.
 *
 * @param remote address of the connection
 * @param forwarded the header `x-forwarded-for`, all its lines joined by a comma
 * @param trusted networks of one's own proxies
 */
export function clientAddress(
  remote: string | undefined,
  forwarded: string | undefined,
  trusted: BlockList | undefined,
): string | undefined {
  let address = remote === undefined ? undefined : plainAddress(remote);
  if (trusted === undefined || forwarded === undefined) return address;
  for (const hop of forwarded.split(',').reverse()) {
    if (!inNetworks(trusted, address)) return address;
    const plain = plainAddress(hop.trim());
    // a proxy of ours writes addresses alone: what else stands here was sent along
    if (plain === undefined) return undefined;
    address = plain;
  }
  return address;
}

/** Whom an address counts as when failures are counted: a network of IPv6 is one house. */
export function houseOf(address: string | undefined): string {
  const plain = address === undefined ? undefined : plainAddress(address);
  if (plain === undefined) return 'unknown';
  if (isIP(plain) === 4) return plain;
  const [head = '', tail] = plain.split('::');
  const first = head === '' ? [] : head.split(':');
  const last = tail === undefined || tail === '' ? [] : tail.split(':');
  const gap = tail === undefined ? [] : Array.from({ length: Math.max(0, 8 - first.length - last.length) }, () => '0');
  return [...first, ...gap, ...last]
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
