import { createHash } from 'node:crypto';

/** An entry with the exact values that its hash is made of. */
export interface StoredEntry {
  readonly tenantId: string;
  readonly seq: number;
  /** Microseconds since 1970, as text: more than a number holds exactly. */
  readonly atMicros: string;
  readonly id: string;
  readonly action: string;
  readonly actorPrincipalId: string | null;
  readonly workspaceId: string | null;
  readonly resourceId: string | null;
  /** As PostgreSQL prints the jsonb. */
  readonly detailsText: string;
  readonly requestId: string | null;
  readonly traceId: string | null;
  /** 64 hexadecimal digits, as `hash`. */
  readonly prevHash: string;
  readonly hash: string;
}

/** What stands before the first entry. */
export const genesisHash = '0'.repeat(64);

const nothing = Buffer.from('ffffffff', 'hex');

function field(value: Buffer | null): Buffer {
  if (value === null) return nothing;
  const length = Buffer.alloc(4);
  length.writeInt32BE(value.length);
  return Buffer.concat([length, value]);
}
const text = (value: string | null): Buffer | null => (value === null ? null : Buffer.from(value, 'utf8'));
const uuid = (value: string | null): Buffer | null =>
  value === null ? null : Buffer.from(value.replaceAll('-', ''), 'hex');
function integer(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(value);
  return bytes;
}

/** The same bytes as tenantry.audit_bytes(), without the database that is being checked. */
export function entryHash(entry: StoredEntry): string {
  const fields = [
    text('tenantry-audit-1'),
    Buffer.from(entry.prevHash, 'hex'),
    uuid(entry.tenantId),
    integer(BigInt(entry.seq)),
    integer(BigInt(entry.atMicros)),
    uuid(entry.id),
    text(entry.action),
    uuid(entry.actorPrincipalId),
    uuid(entry.workspaceId),
    uuid(entry.resourceId),
    text(entry.detailsText),
    text(entry.requestId),
    text(entry.traceId),
  ];
  return createHash('sha256')
    .update(Buffer.concat(fields.map(field)))
    .digest('hex');
}

/**
 * gap: numbers are missing · fork: a number stands twice · edit: an entry's content does not fit its hash · link: an entry
 * does not go on from the one before it · order: time runs backwards · head: the end is not where the writers left it ·
 * checkpoint: a signed end says otherwise · signature: a checkpoint was forged or damaged · unchained: entries outside of the chain
 */
export type AuditProblemKind =
  | 'gap'
  | 'fork'
  | 'edit'
  | 'link'
  | 'order'
  | 'head'
  | 'checkpoint'
  | 'signature'
  | 'unchained';

export interface AuditProblem {
  readonly kind: AuditProblemKind;
  /** Where it shows. */
  readonly seq: number;
  readonly message: string;
}

/** The end of a chain, or of a piece of it. */
export interface ChainEnd {
  readonly seq: number;
  readonly hash: string;
}

const keptProblems = 100;

/** Checks entries as they come, in the order of their numbers; memory does not grow with the log. */
export class ChainCheck {
  readonly problems: AuditProblem[] = [];
  entries = 0;
  problemCount = 0;
  #last: (ChainEnd & { readonly atMicros?: bigint }) | undefined;
  readonly #anchors: Map<number, ChainEnd[]>;

  /**
   * @param start what stands before the first entry; undefined: take the first entry's word for it
   * @param anchors signed ends that entries must fit
   */
  constructor(start: ChainEnd | undefined, anchors: readonly ChainEnd[] = []) {
    this.#last = start;
    this.#anchors = new Map();
    for (const anchor of anchors) this.#anchors.set(anchor.seq, [...(this.#anchors.get(anchor.seq) ?? []), anchor]);
    if (start !== undefined) this.#anchor(start);
  }

  get end(): ChainEnd {
    return { seq: this.#last?.seq ?? 0, hash: this.#last?.hash ?? genesisHash };
  }

  report(kind: AuditProblemKind, seq: number, message: string): void {
    this.problemCount += 1;
    if (this.problems.length < keptProblems) this.problems.push({ kind, seq, message });
  }

  add(entry: StoredEntry): void {
    const { seq, hash, prevHash } = entry;
    const atMicros = BigInt(entry.atMicros);
    const last = this.#last ?? { seq: seq - 1, hash: prevHash };
    this.entries += 1;
    if (seq <= last.seq) {
      this.report('fork', seq, `There are two entries with the number ${seq}.`);
      return;
    }
    if (seq > last.seq + 1) {
      const missing = seq - last.seq - 1;
      this.report(
        'gap',
        last.seq + 1,
        `${missing} ${missing === 1 ? 'entry is' : 'entries are'} missing before number ${seq}.`,
      );
    } else if (prevHash !== last.hash) {
      this.report('link', seq, `Entry ${seq} does not go on from entry ${seq - 1}.`);
    }
    if (entryHash(entry) !== hash)
      this.report('edit', seq, `Entry ${seq} was changed: its content does not fit its hash.`);
    if (last.atMicros !== undefined && atMicros <= last.atMicros)
      this.report('order', seq, `Entry ${seq} is not later than the one before it.`);
    this.#last = { seq, hash, atMicros };
    this.#anchor(this.#last);
  }

  /** The signed ends that no entry reached: what they vouch for is gone. */
  finish(): void {
    const { seq } = this.end;
    for (const anchor of [...this.#anchors.keys()].toSorted((a, b) => a - b)) {
      if (anchor > seq)
        this.report('checkpoint', anchor, `A checkpoint vouches for entry ${anchor}, and the log ends at ${seq}.`);
    }
  }

  #anchor({ seq, hash }: ChainEnd): void {
    for (const anchor of this.#anchors.get(seq) ?? []) {
      if (anchor.hash !== hash)
        this.report(
          'checkpoint',
          seq,
          `Entry ${seq} is not the one that a checkpoint vouches for: the log was rewritten.`,
        );
    }
  }
}
