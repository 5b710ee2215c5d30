import { describe, expect, it } from 'vitest';
import { sqlTokens, wordOf } from './sql-tokens.ts';

const tokensOf = (text: string): string[] =>
  sqlTokens(text).map(({ type, start, end }) => `${type}:${text.slice(start, end)}`);

describe('sqlTokens', () => {
  it.each([
    ['select a.b from "T""x"', ['word:select', 'word:a', 'punctuation:.', 'word:b', 'word:from', 'quoted:"T""x"']],
    ["'it''s' 'a;b'", ["string:'it''s'", "string:'a;b'"]],
    [String.raw`e'a\'b' 'c\'`, [String.raw`string:e'a\'b'`, String.raw`string:'c\'`]],
    [
      "E'' b'01' X'1f' n'x' u&'d' U&\"i\"",
      [
        "string:E''",
        "string:b'01'",
        "string:X'1f'",
        "string:n'x'",
        "string:u&'d'",
        'string:U&"i"'.replace('string', 'quoted'),
      ],
    ],
    [
      '$$a;b$$ $f$ $$ $f$ $1 $23 $ x$y',
      ['string:$$a;b$$', 'string:$f$ $$ $f$', 'parameter:$1', 'parameter:$23', 'punctuation:$', 'word:x$y'],
    ],
    [
      '1 2.5 .5 1e10 1.5E-3 1_000',
      ['number:1', 'number:2.5', 'number:.5', 'number:1e10', 'number:1.5E-3', 'number:1_000'],
    ],
    ['a -- b; c\n/* d /* e */ ; */ f', ['word:a', 'word:f']],
    ['a -- to the end', ['word:a']],
    ['a /* never /* closed */', ['word:a']],
    ["'open", ["string:'open"]],
    ['$x$ open', ['string:$x$ open']],
    [
      'é::text ->> a',
      [
        'word:é',
        'punctuation::',
        'punctuation::',
        'word:text',
        'punctuation:-',
        'punctuation:>',
        'punctuation:>',
        'word:a',
      ],
    ],
    ['', []],
    ['\t\r\n\f\v ', []],
  ])('%s', (text, expected) => {
    expect(tokensOf(text)).toEqual(expected);
  });

  it('wordOf is the bare word in lower case', () => {
    expect(wordOf('SELECT', sqlTokens('SELECT')[0])).toBe('select');
    expect(wordOf('"SELECT"', sqlTokens('"SELECT"')[0])).toBe('');
    expect(wordOf('', undefined)).toBe('');
  });
});
