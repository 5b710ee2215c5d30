import { describe, expect, it } from 'vitest';
import { fingerprint, fingerprintOf } from './fingerprint.ts';

describe('fingerprint', () => {
  it.each([
    ["SELECT * FROM Notes WHERE id = 5 AND name = 'x'", 'select * from notes where id = ? and name = ?'],
    ['select *\n  from notes -- all of them\n where id=$1;', 'select * from notes where id = ?'],
    ['select a from t where id in (1, 2, 3)', 'select a from t where id in (?)'],
    ['select a from t where id in ($1,$2)', 'select a from t where id in (?)'],
    ['insert into t (a, b) values ($1, $2), ($3, $4), ($5, $6)', 'insert into t(a, b) values (?)'],
    ['select f( a , 1 ), count(*) from "T" t', 'select f(a, ?), count(*) from "T" t'],
    ["select data->>'k', x::text, a[1]", 'select data ->> ?, x::text, a[?]'],
    [
      'select -1, + 2, 3 - 4 from t where a > -5 and b between -1 and -2',
      'select ? - ? from t where a > ? and b between ? and ?',
    ],
    ["select $$it's$$, E'a\\'b'", 'select ?'],
    ['select 1 where a>=1 and b<>2', 'select ? where a >= ? and b <> ?'],
    ['  ', ''],
    [';;', ''],
  ])('%s', (text, expected) => {
    expect(fingerprint(text)).toBe(expected);
  });

  it('holds no value of anybody', () => {
    const text = "select * from t where a = 'hunter2' and b = 4711 and c = $$hunter2$$";
    expect(fingerprint(text)).not.toMatch(/hunter2|4711/);
  });

  it('is the same for every number of values', () => {
    const insert = (n: number): string =>
      `insert into t values ${Array.from({ length: n }, (_, i) => `(${i}, '${i}')`).join(', ')}`;
    expect(new Set([1, 2, 3, 7].map((n) => fingerprint(insert(n)))).size).toBe(1);
  });

  it('is found out once per text', () => {
    const entry = { text: 'select 1', fingerprint: undefined as string | undefined };
    expect(fingerprintOf(entry)).toBe('select ?');
    entry.fingerprint = 'kept';
    expect(fingerprintOf(entry)).toBe('kept');
  });
});
