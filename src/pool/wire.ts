import { prepareValue } from './pg-internals.ts';

const slabSize = 64 * 1024;

const code = { parse: 0x50, bind: 0x42, execute: 0x45, describe: 0x44, close: 0x43, query: 0x51 } as const;

const executeAll = Buffer.from([code.execute, 0, 0, 0, 9, 0, 0, 0, 0, 0]);
const describePortal = Buffer.from([code.describe, 0, 0, 0, 6, 0x50, 0]);
export const syncMessage = Buffer.from([0x53, 0, 0, 0, 4]);

/**
 * Writes messages of the frontend protocol one behind another and hands them out as one buffer, so that a query
 * with its context is one write. Finished parts are slices of a shared slab: nothing is copied.
 */
export class WireWriter {
  readonly #size: number;
  #slab: Buffer;
  #start = 0;
  /** Up to here it is finished; behind it is what `discard` forgets. */
  #kept = 0;
  #at = 0;

  constructor(size = slabSize) {
    this.#size = size;
    this.#slab = Buffer.allocUnsafeSlow(size);
  }

  /** The messages since the last take. */
  take(): Buffer {
    const taken = this.#slab.subarray(this.#start, this.#at);
    this.#start = this.#at;
    this.#kept = this.#at;
    return taken;
  }

  /** The messages so far are whole: only what follows can still be discarded. */
  keep(): void {
    this.#kept = this.#at;
  }

  /** Forgets the messages since the last take or keep: a value could not be serialized. */
  discard(): void {
    this.#at = this.#kept;
  }

  bytes(bytes: Buffer): void {
    this.#ensure(bytes.length);
    bytes.copy(this.#slab, this.#at);
    this.#at += bytes.length;
  }

  parse(name: string, text: string): void {
    const length = this.#begin(code.parse);
    this.#cstring(name);
    this.#cstring(text);
    this.#int16(0);
    this.#end(length);
  }

  /** Bind to the unnamed portal, results as text. Throws what a value's conversion throws. */
  bind(statement: string, values: readonly unknown[] | undefined): void {
    const length = this.#begin(code.bind);
    this.#int8(0);
    this.#cstring(statement);
    const count = values === undefined ? 0 : values.length;
    if (values === undefined || count === 0) {
      this.#int32(0);
    } else {
      this.#int16(count);
      this.#ensure(count * 2 + 2);
      let formats = this.#at - this.#start;
      this.#at += count * 2;
      this.#int16(count);
      for (const raw of values) {
        const value = prepareValue(raw);
        this.#value(value);
        // the slab may have moved: the place of the format codes is kept relative to its start
        this.#slab[this.#start + formats++] = 0;
        this.#slab[this.#start + formats++] = value instanceof Buffer ? 1 : 0;
      }
    }
    this.#int16(0);
    this.#end(length);
  }

  describe(): void {
    this.bytes(describePortal);
  }

  execute(): void {
    this.bytes(executeAll);
  }

  sync(): void {
    this.bytes(syncMessage);
  }

  closeStatement(name: string): void {
    const length = this.#begin(code.close);
    this.#int8(0x53);
    this.#cstring(name);
    this.#end(length);
  }

  query(text: string): void {
    const length = this.#begin(code.query);
    this.#cstring(text);
    this.#end(length);
  }

  #value(value: string | Buffer | null): void {
    if (value === null) {
      this.#int32(-1);
    } else if (typeof value === 'string') {
      this.#ensure(4 + value.length * 3);
      const written = this.#slab.write(value, this.#at + 4, 'utf8');
      this.#slab.writeInt32BE(written, this.#at);
      this.#at += 4 + written;
    } else {
      this.#int32(value.length);
      this.bytes(value);
    }
  }

  #begin(type: number): number {
    this.#ensure(5);
    this.#slab[this.#at] = type;
    this.#at += 5;
    return this.#at - 4 - this.#start;
  }

  #end(length: number): void {
    const position = this.#start + length;
    this.#slab.writeInt32BE(this.#at - position, position);
  }

  #int8(value: number): void {
    this.#ensure(1);
    this.#slab[this.#at++] = value;
  }

  #int16(value: number): void {
    this.#ensure(2);
    this.#slab.writeUInt16BE(value, this.#at);
    this.#at += 2;
  }

  #int32(value: number): void {
    this.#ensure(4);
    this.#slab.writeInt32BE(value, this.#at);
    this.#at += 4;
  }

  #cstring(text: string): void {
    this.#ensure(text.length * 3 + 1);
    this.#at += this.#slab.write(text, this.#at, 'utf8');
    this.#slab[this.#at++] = 0;
  }

  #ensure(size: number): void {
    if (this.#slab.length - this.#at >= size) return;
    const pending = this.#at - this.#start;
    const slab = Buffer.allocUnsafeSlow(Math.max(this.#size, (pending + size) * 2));
    this.#slab.copy(slab, 0, this.#start, this.#at);
    this.#slab = slab;
    this.#kept -= this.#start;
    this.#start = 0;
    this.#at = pending;
  }
}
