import { createHmac, createPublicKey, timingSafeEqual, verify } from 'node:crypto';
import { z } from 'zod';
import { TenantryError } from '../errors.ts';
import type { Leaks } from './leaks.ts';

/** Reads a header by its lower-case name. */
type ReadHeader = (name: string) => string | undefined;

/** Who sends a report: a name for the audit log, or undefined when it cannot show that it is who it says. */
export type AuthenticateReporter = (
  body: string,
  header: ReadHeader,
) => string | undefined | Promise<string | undefined>;

export interface LeakEndpointOptions {
  /** `t.keys`. */
  readonly keys: Leaks;
  readonly authenticate: AuthenticateReporter;
}

const mostBytes = 1_000_000;
const findings = z
  .array(z.object({ token: z.string().min(1).max(1_000), url: z.string().nullish(), source: z.string().nullish() }))
  .max(1_000);

/**
 * Takes the reports of a secret scanner, in the form of GitHub's secret scanning partners: a JSON list of
 * `{ token, type, url, source }`. Keys that are in it are revoked and their organizations told. The answer is the same
 * whether there was such a key or not.
 *
 * @returns a handler: the body as it was sent, and its headers, to a status and a body
 * @example
 * ```ts
 * import { createLeakHandler, githubReporter } from 'tenantry';
 *
 * const leaks = createLeakHandler({ keys: t.keys, authenticate: githubReporter() });
 * app.post('/leaks', async (c) => {
 *   const { status, body } = await leaks(await c.req.text(), (name) => c.req.header(name));
 *   return c.body(body, status);
 * });
 * ```
 */
export function createLeakHandler({
  keys,
  authenticate,
}: LeakEndpointOptions): (
  body: string,
  header: ReadHeader,
) => Promise<{ status: 202 | 400 | 401 | 413 | 503; body: string }> {
  return async (body, header) => {
    if (Buffer.byteLength(body) > mostBytes) return answer(413, 'The report is larger than 1 MB.');
    const reporter = await authenticate(body, header);
    if (reporter === undefined) return answer(401, 'The report is not signed by a reporter known here.');
    const found = findings.safeParse(parsed(body));
    if (!found.success) return answer(400, 'The report is not a JSON list of { token, type, url, source }.');
    const reports = found.data.map(({ token, url, source }) => ({
      key: token,
      reporter,
      url: url ?? source ?? undefined,
    }));
    const done = await inTurn(reports.map((report) => () => keys.reportLeak(report)));
    // a scanner sends again what was not taken; what was revoked stays so
    return done ? answer(202, 'Thank you.') : answer(503, 'Not all of the report was taken: send it again.');
  };
}

async function inTurn(reports: readonly (() => Promise<boolean>)[]): Promise<boolean> {
  let whole = true;
  for (const report of reports) {
    await report().catch(() => {
      whole = false;
    });
  }
  return whole;
}

function answer<S extends 202 | 400 | 401 | 413 | 503>(status: S, message: string): { status: S; body: string } {
  return { status, body: JSON.stringify({ message }) };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * A reporter that shares a secret with you: it sends `x-signature-256: sha256=…`, the HMAC-SHA-256 of the body in
 * hexadecimal digits.
 */
export function sharedSecretReporter(name: string, secret: string): AuthenticateReporter {
  if (secret.length < 32) {
    throw new TenantryError('TNT_CONFIG_INVALID', 'The secret of a leak reporter has fewer than 32 characters.');
  }
  return (body, header) => {
    const given = Buffer.from((header('x-signature-256') ?? '').replace(/^sha256=/, ''), 'hex');
    const right = createHmac('sha256', secret).update(body).digest();
    return given.length === right.length && timingSafeEqual(given, right) ? name : undefined;
  };
}

export interface PublicKeyOfReporter {
  readonly key_identifier: string;
  /** PEM. */
  readonly key: string;
}

const githubKeys = 'https://api.github.com/meta/public_keys/secret_scanning';
const keepMs = 3_600_000;
const askAgainMs = 60_000;

/**
 * GitHub's secret scanning partner program: reports signed with ECDSA by one of GitHub's public keys
 * (docs.github.com, "Secret scanning partner program").
 *
 * @param readKeys reads the public keys; from GitHub unless given
 */
export function githubReporter(
  readKeys: () => Promise<readonly PublicKeyOfReporter[]> = fetchKeys,
): AuthenticateReporter {
  let keys: readonly PublicKeyOfReporter[] = [];
  let readAt = Number.NEGATIVE_INFINITY;
  const keyFor = async (identifier: string): Promise<string | undefined> => {
    const find = (): string | undefined => keys.find(({ key_identifier }) => key_identifier === identifier)?.key;
    const age = performance.now() - readAt;
    if (age > keepMs || (find() === undefined && age > askAgainMs)) {
      readAt = performance.now();
      keys = await readKeys();
    }
    return find();
  };
  return async (body, header) => {
    const identifier = header('github-public-key-identifier');
    const signature = header('github-public-key-signature');
    if (identifier === undefined || signature === undefined) return undefined;
    const pem = await keyFor(identifier);
    if (pem === undefined) return undefined;
    const right = verify('sha256', Buffer.from(body), createPublicKey(pem), Buffer.from(signature, 'base64'));
    return right ? 'GitHub secret scanning' : undefined;
  };
}

async function fetchKeys(): Promise<readonly PublicKeyOfReporter[]> {
  const response = await fetch(githubKeys, { signal: AbortSignal.timeout(10_000) });
  if (!response.ok)
    throw new TenantryError('TNT_INTERNAL', `GitHub's public keys cannot be read (${response.status}).`);
  const { public_keys: keys } = (await response.json()) as { public_keys: PublicKeyOfReporter[] };
  return keys;
}
