import type { Kernel } from '../database/kernel.ts';
import { TenantryError } from '../errors.ts';
import { ChainCheck, genesisHash, type StoredEntry } from './chain.ts';
import { type AuditCheckpoint, isGenuine, type Signer, type TrustedKeys } from './checkpoint.ts';
import {
  dropPartition,
  insertRetentionCheckpoints,
  maintainPartitions,
  oldPartitions,
  readPartition,
  selectRetention,
} from './queries/retention.ts';

/** A month that was removed. */
export interface RetainedMonth {
  /** `2026-03`. */
  readonly month: string;
  readonly entries: number;
  /** Organizations whose chain goes on from a signed checkpoint now. */
  readonly organizations: number;
}

const signedAtOnce = 1_000;

/**
 * Drops the partitions that lie wholly more than `months` months back, oldest first, each in a transaction of its own: its
 * entries are verified, the ends of its chains signed and stored, and only then does it go.
 *
 * @param owner a kernel that runs as the owner of the log
 * @throws TNT_AUDIT_BROKEN
 */
export async function retainMonths(
  owner: Kernel,
  months: number,
  signer: Signer,
  keys: TrustedKeys,
): Promise<RetainedMonth[]> {
  await maintainPartitions(owner);
  const removed: RetainedMonth[] = [];
  for (const partition of await oldPartitions(owner, months)) {
    removed.push(
      await owner.transaction(async (tx) => {
        const counts = await signPartition(tx, partition.name, signer, keys);
        await dropPartition(tx, partition.name);
        return { month: partition.month, ...counts };
      }),
    );
  }
  return removed;
}

async function signPartition(
  tx: Kernel,
  name: string,
  signer: Signer,
  keys: TrustedKeys,
): Promise<{ entries: number; organizations: number }> {
  let [entries, organizations] = [0, 0];
  let piece: StoredEntry[] = [];
  let waiting: AuditCheckpoint[] = [];
  let check: ChainCheck | undefined;
  let last: StoredEntry | undefined;
  const finish = (): void => {
    if (last === undefined || check === undefined) return;
    if (check.problemCount > 0) {
      throw new TenantryError(
        'TNT_AUDIT_BROKEN',
        `The audit log of organization ${last.tenantId} is damaged: ${check.problems[0]?.message} Nothing was dropped.`,
        {
          details: { tenantId: last.tenantId, problems: check.problems },
        },
      );
    }
    organizations += 1;
    const { tenantId, seq, hash, atMicros } = last;
    waiting.push(
      signer.sign({ tenantId, kind: 'retention', seq, hash, atMicros, createdAt: new Date().toISOString() }),
    );
  };
  const store = async (): Promise<void> => {
    await insertRetentionCheckpoints(tx, waiting);
    waiting = [];
  };
  for await (piece of readPartition(tx, name)) {
    const begins = await selectRetention(tx, [...new Set(piece.map(({ tenantId }) => tenantId))]);
    for (const entry of piece) {
      if (entry.tenantId !== last?.tenantId) {
        finish();
        if (waiting.length >= signedAtOnce) await store();
        const begin = begins.find((one) => one.tenantId === entry.tenantId && isGenuine(one, keys) === true);
        check = new ChainCheck(begin ?? { seq: 0, hash: genesisHash });
      }
      check?.add(entry);
      entries += 1;
      last = entry;
    }
  }
  finish();
  await store();
  return { entries, organizations };
}
