import { type AuditProblem, ChainCheck, type ChainEnd, genesisHash, type StoredEntry } from './chain.ts';
import { type AuditCheckpoint, isGenuine, type TrustedKeys } from './checkpoint.ts';

export interface AuditReport {
  readonly ok: boolean;
  readonly tenantId: string;
  readonly entries: number;
  /** Number before the first entry that is still there: 0, or where retention stopped. */
  readonly startsAfter: number;
  readonly end: ChainEnd;
  readonly checkpoints: {
    /** Signed by a trusted key, and the log fits them. */
    readonly verified: number;
    /** Signed by a key that is not trusted here: they prove nothing. */
    readonly unverified: number;
  };
  /** At most 100; `problemCount` counts all. */
  readonly problems: readonly AuditProblem[];
  readonly problemCount: number;
}

export interface VerifySource {
  readonly tenantId: string;
  /** By number. */
  readonly entries: AsyncIterable<StoredEntry> | Iterable<StoredEntry>;
  readonly checkpoints: readonly AuditCheckpoint[];
  readonly keys: TrustedKeys;
  /** The end as the writers know it; absent outside of the database. */
  readonly head?: ChainEnd & { readonly pending: number; readonly beyond: number };
  /** A piece of the log: it need not begin at its beginning. */
  readonly piece?: boolean;
}

/**
 * Checks a chain from its beginning, or from the checkpoint under which its older entries were removed, to its end.
 * It trusts the entries' values and the keys, and nothing that the database computes.
 */
export async function verifyChain(source: VerifySource): Promise<AuditReport> {
  const { tenantId, keys, head, piece = false } = source;
  const mine = source.checkpoints.filter((checkpoint) => checkpoint.tenantId === tenantId);
  const genuine = mine.filter((checkpoint) => isGenuine(checkpoint, keys) === true);
  const iterator = toAsync(source.entries);
  const first = await iterator.next();
  const firstSeq = first.done === true ? (head?.seq ?? 0) + 1 : first.value.seq;
  const start = startOf(firstSeq, genuine, piece && first.done !== true ? first.value.prevHash : undefined);
  const reached = genuine.filter(({ seq }) => seq >= start.seq);
  const check = new ChainCheck(start, reached);
  for (const forged of mine.filter((checkpoint) => isGenuine(checkpoint, keys) === false))
    check.report(
      'signature',
      forged.seq,
      `The checkpoint of entry ${forged.seq} is not signed by the key that it names.`,
    );
  for (let next = first; next.done !== true; next = await iterator.next()) check.add(next.value);
  check.finish();
  if (head !== undefined) checkHead(check, head);
  return {
    ok: check.problemCount === 0,
    tenantId,
    entries: check.entries,
    startsAfter: start.seq,
    end: check.end,
    checkpoints: { verified: genuine.length, unverified: mine.filter((c) => isGenuine(c, keys) === undefined).length },
    problems: check.problems.toSorted((a, b) => a.seq - b.seq),
    problemCount: check.problemCount,
  };
}

/** Entries may be missing at the beginning when somebody signed for their removal, and not otherwise. */
function startOf(firstSeq: number, genuine: readonly AuditCheckpoint[], believed: string | undefined): ChainEnd {
  const retention = genuine
    .filter(({ kind, seq }) => kind === 'retention' && seq < firstSeq)
    .toSorted((a, b) => b.seq - a.seq)[0];
  if (believed !== undefined) return { seq: firstSeq - 1, hash: believed };
  return retention === undefined ? { seq: 0, hash: genesisHash } : { seq: retention.seq, hash: retention.hash };
}

function checkHead(check: ChainCheck, head: NonNullable<VerifySource['head']>): void {
  const { end } = check;
  if (end.seq < head.seq) {
    check.report(
      'head',
      head.seq,
      `The log ends at ${end.seq}, and its writers left it at ${head.seq}: its tail was removed.`,
    );
  } else if (end.seq === head.seq && end.hash !== head.hash) {
    check.report('head', head.seq, `The last entry is not the one that the log's writers left.`);
  }
  if (head.beyond > 0)
    check.report('unchained', head.seq + 1, `${head.beyond} entries stand behind the end of the chain.`);
  if (head.pending > 0)
    check.report('unchained', head.seq + 1, `${head.pending} entries were committed and never chained.`);
}

async function* toAsync(entries: VerifySource['entries']): AsyncGenerator<StoredEntry, undefined> {
  yield* entries;
  return undefined;
}
