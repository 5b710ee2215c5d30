import { describe, expect, it } from 'vitest';
import type { LedgerRow } from './export-queries.ts';
import { exportLines } from './export.ts';

const row: LedgerRow = {
  id: '=cmd()',
  metric: 'memories',
  quantity: '-2.50',
  events: -1,
  occurredAt: new Date('2026-03-01T00:00:00Z'),
  receivedAt: new Date('2026-03-01T00:00:01Z'),
  namespaceId: null,
  apiKeyId: null,
  subject: '@sum, "all"',
  corrects: '+A1',
  reason: '-1+1',
};

describe('C3 usage as CSV', () => {
  it('gives a spreadsheet nothing to run, and keeps negative numbers', async () => {
    const lines: string[] = [];
    const pages = (async function* () {
      yield await Promise.resolve([row]);
    })();
    for await (const text of exportLines(pages, 'csv')) lines.push(text);
    expect(lines[1]).toBe(
      `'=cmd(),memories,-2.50,-1,2026-03-01T00:00:00.000Z,2026-03-01T00:00:01.000Z,,,"'@sum, ""all""",'+A1,'-1+1\r\n`,
    );
  });
});
