import { expect, test } from 'vitest';
import { describeConflict } from './adopt/conflicts.ts';
import { counted } from './counted.ts';

test('one is one, and everything else many', () => {
  expect([0, 1, 2, 12_345].map((n) => counted(n, 'row'))).toEqual(['0 rows', '1 row', '2 rows', '12,345 rows']);
  expect([1, 2].map((n) => counted(n, 'entry', 'entries'))).toEqual(['1 entry', '2 entries']);
});

test('a conflict of one row is told as one', () => {
  const said = (rows: number, kind: Parameters<typeof describeConflict>[0]['kind']): string =>
    describeConflict({ table: 'public.sales', kind, rows, routes: ['sales.item'] });
  expect(said(1, 'joins tenants')).toBe('1 row of public.sales joins two tenants: by sales.item');
  expect(said(2, 'joins tenants')).toBe('2 rows of public.sales join two tenants: by sales.item');
  expect(said(1, 'no tenant')).toBe('1 row of public.sales has no tenant: by sales.item');
  expect(said(1, 'shared row')).toBe('1 row of public.sales is used by several tenants: sales.item');
});
