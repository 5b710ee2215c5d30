import { csvCell } from '../csv.ts';
import { TenantryError } from '../errors.ts';
import type { StoredEntry } from './chain.ts';
import { type AuditCheckpoint, checkpointSchema, type KeyInput, trustedKeys } from './checkpoint.ts';
import { type AuditReport, verifyChain } from './verify.ts';

/** `2026-11-22T07:00:00.123456Z`: all microseconds, which a Date has no room for. */
function instantOf(micros: string): string {
  const value = BigInt(micros);
  const seconds = value / 1_000_000n;
  const rest = value - seconds * 1_000_000n;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${rest.toString().padStart(6, '0')}Z`;
}

function microsOf(instant: string): string {
  const [, seconds, fraction] = /^(.{19})\.(\d{6})Z$/.exec(instant) ?? [];
  const ms = Date.parse(`${seconds}Z`);
  if (fraction === undefined || Number.isNaN(ms)) throw new TypeError('at: no instant');
  return (BigInt(ms) * 1000n + BigInt(fraction)).toString();
}

/** One JSON object per line. `details` comes last and exactly as the database prints it: the hash is over that text. */
export function jsonLine(entry: StoredEntry): string {
  const { tenantId, seq, atMicros, detailsText, ...rest } = entry;
  const head = JSON.stringify({ tenantId, seq, at: instantOf(atMicros), ...rest });
  return `${head.slice(0, -1)},"details":${detailsText}}`;
}

/** @throws TypeError */
export function parseJsonLine(line: string): StoredEntry {
  const at = line.indexOf(',"details":'); // inside a string the quotes would be escaped
  if (at < 0 || !line.endsWith('}')) throw new TypeError('no entry of an audit log');
  const head = JSON.parse(`${line.slice(0, at)}}`) as Omit<StoredEntry, 'atMicros' | 'detailsText'> & { at: string };
  const { at: instant, ...rest } = head;
  return { ...rest, atMicros: microsOf(instant), detailsText: line.slice(at + ',"details":'.length, -1) };
}

const columns = [
  'seq',
  'at',
  'id',
  'action',
  'actorPrincipalId',
  'workspaceId',
  'resourceId',
  'requestId',
  'traceId',
  'details',
  'hash',
] as const;
export const csvHeader = columns.join(',');

/** RFC 4180. A cell that a spreadsheet would run as a formula gets an apostrophe in front: for verifying, take JSON Lines. */
export function csvLine(entry: StoredEntry): string {
  const values = { ...entry, at: instantOf(entry.atMicros), details: entry.detailsText };
  return columns.map((column) => csvCell(values[column])).join(',');
}

export interface VerifyExportOptions {
  /** Checkpoints that were kept outside, as objects or as JSON Lines. */
  readonly checkpoints?: readonly (AuditCheckpoint | string)[];
  /** Ed25519 public keys that are believed: PEM. */
  readonly publicKeys?: readonly KeyInput[];
  /** The export begins somewhere in the middle. */
  readonly piece?: boolean;
}

/**
 * Checks an export without any database: one report per organization in it.
 *
 * @param lines of JSON Lines, in the order they were exported
 * @throws TNT_INPUT_INVALID naming the line that is none
 */
export async function verifyAuditExport(
  lines: AsyncIterable<string> | Iterable<string>,
  { checkpoints = [], publicKeys = [], piece = false }: VerifyExportOptions = {},
): Promise<AuditReport[]> {
  const keys = trustedKeys(publicKeys);
  const signed = checkpoints.map((one) => parseCheckpoint(one));
  const reports: AuditReport[] = [];
  const reader = entriesOf(lines)[Symbol.asyncIterator]();
  let next = await reader.next();
  const seen = new Set<string>();
  while (next.done !== true) {
    const { tenantId } = next.value;
    async function* ofTenant(): AsyncGenerator<StoredEntry> {
      for (; next.done !== true && next.value.tenantId === tenantId; next = await reader.next()) yield next.value;
    }
    seen.add(tenantId);
    reports.push(await verifyChain({ tenantId, entries: ofTenant(), checkpoints: signed, keys, piece }));
  }
  for (const tenantId of new Set(signed.map((checkpoint) => checkpoint.tenantId)))
    if (!seen.has(tenantId)) reports.push(await verifyChain({ tenantId, entries: [], checkpoints: signed, keys }));
  return reports;
}

async function* entriesOf(lines: AsyncIterable<string> | Iterable<string>): AsyncGenerator<StoredEntry> {
  let number = 0;
  for await (const line of lines) {
    number += 1;
    if (line.trim() === '') continue;
    try {
      yield parseJsonLine(line.trim());
    } catch {
      throw new TenantryError('TNT_INPUT_INVALID', `line ${number}: is no entry of an audit log.`);
    }
  }
}

/** @throws TNT_INPUT_INVALID */
export function parseCheckpoint(input: AuditCheckpoint | string): AuditCheckpoint {
  const result = checkpointSchema.safeParse(typeof input === 'string' ? safeJson(input) : input);
  if (result.success) return result.data;
  throw new TenantryError('TNT_INPUT_INVALID', 'checkpoints: one of them is no checkpoint of an audit log.');
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
