import { bindContext } from '../../context/context.ts';
import { csvCell } from '../../csv.ts';
import type { Kernel } from '../../database/kernel.ts';
import { closeLedgerCursor, fetchLedger, type LedgerRow, openLedgerCursor } from './export-queries.ts';

const pageSize = 1000;

export interface LedgerRange {
  readonly from: Date;
  readonly to: Date;
  readonly metric?: string | undefined;
  readonly namespaceId?: string | undefined;
}

/** The ledger of an organization in the order of occurrence, page by page from one cursor: one snapshot, whatever its size. */
export function ledgerPages(kernel: Kernel, tenantId: string, range: LedgerRange): AsyncGenerator<LedgerRow[]> {
  const read = async (hand: (page: LedgerRow[]) => Promise<boolean>): Promise<void> =>
    kernel.transaction(async (tx) => {
      await openLedgerCursor(tx, tenantId, range);
      for (;;) {
        const page = await fetchLedger(tx, pageSize);
        if (page.length === 0 || !(await hand(page))) break;
      }
      await closeLedgerCursor(tx);
    });
  // the pages may be asked for by somebody else than who asked for the export
  return handedOver(bindContext(read));
}

/** What `produce` hands over, one item at a time; `produce` is told when nobody wants more. */
async function* handedOver<T>(produce: (hand: (item: T) => Promise<boolean>) => Promise<void>): AsyncGenerator<T> {
  const items: T[] = [];
  let arrived = (): void => {};
  let goOn: (more: boolean) => void = () => {};
  let gone = false;
  let ended = false;
  let failure: { error: unknown } | undefined;
  const hand = (item: T): Promise<boolean> => {
    if (gone) return Promise.resolve(false);
    items.push(item);
    arrived();
    return new Promise((resolve) => {
      goOn = resolve;
    });
  };
  const running = produce(hand)
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      ended = true;
      arrived();
    });
  try {
    for (;;) {
      const item = items.shift();
      if (item !== undefined) {
        yield item;
        goOn(true);
      } else if (failure !== undefined) {
        throw failure.error;
      } else if (ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          arrived = resolve;
        });
      }
    }
  } finally {
    gone = true;
    goOn(false);
    await running;
  }
}

const fields = [
  'id',
  'metric',
  'quantity',
  'events',
  'occurredAt',
  'receivedAt',
  'namespaceId',
  'apiKeyId',
  'subject',
  'corrects',
  'reason',
] as const satisfies readonly (keyof LedgerRow)[];

/** Text by the page: JSON Lines, or CSV (RFC 4180) with a header. Quantities are exact decimals, as text. */
export async function* exportLines(pages: AsyncIterable<LedgerRow[]>, format: 'jsonl' | 'csv'): AsyncGenerator<string> {
  if (format === 'csv') yield `${fields.join()}\r\n`;
  for await (const page of pages) {
    yield page
      .map((row) =>
        format === 'csv'
          ? `${fields.map((field) => csvCell(row[field])).join()}\r\n`
          : `${JSON.stringify(withoutNulls(row))}\n`,
      )
      .join('');
  }
}

const withoutNulls = (row: LedgerRow): object =>
  Object.fromEntries(fields.flatMap((field) => (row[field] === null ? [] : [[field, row[field]]])));
