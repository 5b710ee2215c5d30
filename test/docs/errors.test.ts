import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { errorDefinitions } from '../../src/errors.ts';

describe('docs/errors.md', () => {
  const text = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8');
  const documented = [...text.matchAll(/^\| `(TNT_[A-Z_]+)` \| (\d+) \| (\d+) \|/gm)].map((m) => [
    m[1],
    Number(m[2]),
    Number(m[3]),
  ]);

  it('has a line for every code with its HTTP status and exit code, and no line for a code that does not exist', () => {
    const defined = Object.entries(errorDefinitions).map(([code, { status, exit }]) => [code, status, exit]);
    const byCode = (a: unknown[], b: unknown[]): number => String(a[0]).localeCompare(String(b[0]));
    expect(documented.toSorted(byCode)).toEqual(defined.toSorted(byCode));
  });

  it('every code has a next step', () => {
    for (const [code, { hint }] of Object.entries(errorDefinitions)) expect(hint, code).toMatch(/\S{3}/);
  });
});
