import { describe, expect, it } from 'vitest';
import { WireWriter } from './wire.ts';

describe('WireWriter', () => {
  it('writes the messages of the protocol', () => {
    const writer = new WireWriter();
    writer.parse('n', 'q');
    expect(writer.take().toString('latin1')).toBe('P\0\0\0\x0an\0q\0\0\0');
    writer.bind('n', ['é', null, Buffer.from([1, 2])]);
    expect([...writer.take()]).toEqual(
      [
        0x42, 0, 0, 0, 37, 0, 0x6e, 0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 3, 0, 0, 0, 2, 0xc3, 0xa9, 255, 255, 255, 255, 0, 0,
        0, 2, 1, 2, 0, 0,
      ].map((byte, i) => (i === 4 ? 35 : byte)),
    );
    writer.bind('', undefined);
    expect([...writer.take()]).toEqual([0x42, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0]);
    writer.describe();
    writer.execute();
    writer.closeStatement('x');
    writer.query('q');
    writer.sync();
    expect(writer.take().toString('latin1')).toBe(
      'D\0\0\0\x06P\0E\0\0\0\x09\0\0\0\0\0C\0\0\0\x07Sx\0Q\0\0\0\x06q\0S\0\0\0\x04',
    );
  });

  it('grows, and hands out parts that later writing does not touch', () => {
    const writer = new WireWriter(16);
    writer.query('a'.repeat(100));
    const first = writer.take();
    writer.bind('', ['b'.repeat(50), 'c'.repeat(300)]);
    const second = writer.take();
    expect(first.toString()).toContain('a'.repeat(100));
    expect(first).toHaveLength(106);
    expect(second.readInt32BE(1)).toBe(second.length - 1);
    expect(second.toString()).toContain('c'.repeat(300));
  });

  it('discards what was not finished, and keeps what was', () => {
    const writer = new WireWriter(32);
    writer.query('first');
    writer.keep();
    expect(() => {
      writer.parse('', 'x'.repeat(40));
      writer.bind('', [
        {
          toPostgres: () => {
            throw new Error('no');
          },
        },
      ]);
    }).toThrow('no');
    writer.discard();
    writer.sync();
    expect(writer.take().toString('latin1')).toBe('Q\0\0\0\x0afirst\0S\0\0\0\x04');
  });
});
