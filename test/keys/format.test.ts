import { describe, expect, it } from 'vitest';
import {
  checksum,
  isKey,
  keyPattern,
  keyPrefix,
  newKey,
  prefixOf,
  publicIdOf,
  randomText,
} from '../../src/keys/format.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

describe('C5 the text of a key', () => {
  it('says what it is for', () => {
    expect(keyPrefix('secret', 'production')).toBe('sk_live_');
    expect(keyPrefix('secret', 'staging')).toBe('sk_test_');
    expect(keyPrefix('secret', 'development')).toBe('sk_test_');
    expect(keyPrefix('widget', 'production')).toBe('pk_widget_');
    expect(keyPrefix('widget', 'development')).toBe('pk_widget_');
  });

  it('has a checksum that is CRC-32 in base 62, of prefix and body', () => {
    // CRC-32 of "123456789" is 0xCBF43926 = 3421780262 (its published check value);
    // = 3·62^5 + 45·62^4 + 35·62^3 + 27·62^2 + 22·62 + 14 → characters 3 j Z R M E
    const value = [3, 45, 35, 27, 22, 14].reduce((sum, digit) => sum * 62 + digit, 0);
    expect(value).toBe(0xcbf43926);
    expect(checksum('123456789')).toBe('3jZRME');
    expect(checksum('')).toBe('000000');
  });

  it('is told from every text that differs in one character, the prefix too', () => {
    const { key, publicId, hint } = newKey('sk_test_');
    expect(publicIdOf(key)).toBe(publicId);
    expect(hint).toBe(`sk_test_${publicId}`);
    expect(isKey(key.replace('sk_test_', 'sk_live_'))).toBe(false);
    expect(prefixOf(key.replace('sk_test_', 'sk_live_'))).toBe('sk_live_');
    for (let at = 8; at < key.length; at += 1) {
      const other = alphabet[(alphabet.indexOf(key[at]!) + 1 + (at % 60)) % 62]!;
      expect(isKey(key.slice(0, at) + other + key.slice(at + 1))).toBe(false);
    }
    for (let at = 8; at < key.length - 1; at += 1) {
      const swapped = key.slice(0, at) + key[at + 1]! + key[at]! + key.slice(at + 2);
      if (swapped !== key) expect(isKey(swapped)).toBe(false);
    }
    for (const text of ['', 'sk_live_', key.slice(1), `${key}0`, key.slice(0, -1), `${key} `, key.toUpperCase()]) {
      expect(isKey(text)).toBe(false);
    }
    // the checksum is right, a letter is not
    const odd = `sk_live_${'-'.repeat(55)}`;
    expect(isKey(odd + checksum(odd))).toBe(false);
  });

  it('is random: every character is as likely as every other', () => {
    const text = randomText(124_000);
    const counts = new Map<string, number>();
    for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
    expect(counts.size).toBe(62);
    // chi-squared with 61 degrees of freedom is above 145 once in 10^8 times; bytes modulo 62 would give thousands
    const expected = text.length / 62;
    const chi = [...counts.values()].reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    expect(chi).toBeLessThan(145);
    expect(new Set(Array.from({ length: 1000 }, () => newKey('sk_live_').key)).size).toBe(1000);
  });

  it('is found in other text by the expression for scanners, whole', () => {
    const [one, two] = [newKey('sk_live_').key, newKey('pk_widget_').key];
    const text = `KEY="${one}"\n<script data-key=${two}></script> sk_live_short x${one} ${one}x`;
    const found = text.match(new RegExp(keyPattern, 'g')) ?? [];
    expect(found.filter(isKey)).toEqual([one, two]);
  });
});
