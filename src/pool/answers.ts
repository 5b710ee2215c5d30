import type { ConnectionInternals, TransactionStatus } from './pg-internals.ts';

/** What the server says to a query of ours, taken from the bytes without a message object in between. */
export interface Answers {
  /** ParseComplete. */
  parsed(): void;
  /** @param at where the row's values begin, with their count */
  row(bytes: Buffer, at: number): void;
  /** @param tag `SELECT 1` */
  complete(tag: string): void;
}

/** The connection's side of it. */
export interface Listener {
  /** Whose the answers are; undefined: they go pg's way. */
  answers(): Answers | undefined;
  ready(status: TransactionStatus): void;
}

// Message formats: PostgreSQL docs, section "Frontend/Backend Protocol"
const code = { parseComplete: 0x31, bindComplete: 0x32, commandComplete: 0x43, dataRow: 0x44, ready: 0x5a } as const;
const headSize = 5;

/**
 * Cuts what the server sends into messages. Those that every query brings go to the query itself, the rest, and all
 * that is for a query object of pg, to pg's own parser.
 */
class AnswerReader {
  readonly #listener: Listener;
  readonly #toDriver: (bytes: Buffer) => void;
  /** Bytes still to come of a message that pg's parser has the beginning of. */
  #missing = 0;
  /** The first bytes of a message, too few to tell its length. */
  #head: Buffer | undefined = undefined;

  constructor(listener: Listener, toDriver: (bytes: Buffer) => void) {
    this.#listener = listener;
    this.#toDriver = toDriver;
  }

  read(chunk: Buffer): void {
    const bytes = this.#head === undefined ? chunk : Buffer.concat([this.#head, chunk]);
    this.#head = undefined;
    let at = Math.min(this.#missing, bytes.length);
    if (at > 0) {
      this.#missing -= at;
      this.#toDriver(bytes.subarray(0, at));
    }
    while (bytes.length - at >= headSize) {
      const end = endOf(bytes, at);
      if (end > bytes.length) {
        this.#missing = end - bytes.length;
        this.#toDriver(bytes.subarray(at));
        return;
      }
      const answers = this.#listener.answers();
      if (answers === undefined) {
        const stop = endOfAnswer(bytes, at, end);
        this.#toDriver(bytes.subarray(at, stop));
        at = stop;
      } else {
        if (!this.#take(answers, bytes, at, end)) this.#toDriver(bytes.subarray(at, end));
        at = end;
      }
    }
    if (at < bytes.length) this.#head = Buffer.from(bytes.subarray(at));
  }

  #take(answers: Answers, bytes: Buffer, at: number, end: number): boolean {
    switch (bytes[at]) {
      case code.bindComplete:
        return true;
      case code.dataRow:
        answers.row(bytes, at + headSize);
        return true;
      case code.commandComplete:
        answers.complete(bytes.latin1Slice(at + headSize, end - 1));
        return true;
      case code.ready:
        this.#listener.ready(String.fromCharCode(bytes[at + headSize] ?? 0) as TransactionStatus);
        return true;
      case code.parseComplete:
        answers.parsed();
        return true;
      default:
        return false;
    }
  }
}

/** Has a reader stand in front of pg's parser, on whichever socket the connection will come to speak through. */
export function readAnswers(connection: ConnectionInternals, listener: Listener): void {
  const attach = connection.attachListeners.bind(connection);
  connection.attachListeners = (stream) =>
    attach({
      on(event, toDriver) {
        if (event !== 'data') return stream.on(event, toDriver);
        const reader = new AnswerReader(listener, toDriver);
        return stream.on(event, (chunk) => reader.read(chunk));
      },
    });
}

/** A message's length counts itself and not the code; nothing a server says is shorter than its length. */
function endOf(bytes: Buffer, at: number): number {
  return at + 1 + Math.max(4, bytes.readUInt32BE(at + 1));
}

/** The whole messages up to the next ReadyForQuery: until then they are all for the same one. */
function endOfAnswer(bytes: Buffer, at: number, end: number): number {
  let last = at;
  let stop = end;
  while (bytes[last] !== code.ready && bytes.length - stop >= headSize) {
    const next = endOf(bytes, stop);
    if (next > bytes.length) break;
    last = stop;
    stop = next;
  }
  return stop;
}
