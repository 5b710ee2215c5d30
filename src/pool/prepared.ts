import type { FieldDescription } from './pg-internals.ts';

/** The answer of a statement: what it is made of, and a row without values, which pg copies for each row. */
export interface Shape {
  readonly fields: readonly FieldDescription[];
  readonly emptyRow: object;
  /** No value comes as binary. */
  readonly asText: boolean;
}

/** A statement that one connection has prepared, or is about to. */
export interface PreparedStatement {
  readonly name: string;
  readonly text: string;
  /** From its RowDescription; null when it returns no rows. Undefined until it was described once. */
  shape: Shape | null | undefined;
  lastUsed: number;
}

/** The statements one connection has prepared, named by the caller or automatically; the least recently used go. */
export class PreparedStatements {
  readonly #byName = new Map<string, PreparedStatement>();
  readonly #limit: number;
  #toClose: string[] = [];
  #clock = 0;

  constructor(limit: number) {
    this.#limit = Math.max(1, limit);
  }

  get size(): number {
    return this.#byName.size;
  }

  get(name: string): PreparedStatement | undefined {
    const statement = this.#byName.get(name);
    if (statement !== undefined) statement.lastUsed = ++this.#clock;
    return statement;
  }

  /** Room is made by `makeRoom`, before anything is written. */
  add(name: string, text: string): PreparedStatement {
    const statement: PreparedStatement = { name, text, shape: undefined, lastUsed: ++this.#clock };
    this.#byName.set(name, statement);
    return statement;
  }

  /** Forgets a statement whose Parse failed: the server does not know it. */
  forget(statement: PreparedStatement): void {
    if (this.#byName.get(statement.name) === statement) this.#byName.delete(statement.name);
  }

  /** Forgets a statement, and has the server forget it with the next write. */
  close(statement: PreparedStatement): void {
    this.forget(statement);
    this.#toClose.push(statement.name);
  }

  /** The server has forgotten all of them. */
  clear(): void {
    this.#byName.clear();
    this.#toClose = [];
  }

  makeRoom(): void {
    if (this.#byName.size < this.#limit) return;
    let oldest: PreparedStatement | undefined;
    for (const statement of this.#byName.values()) {
      if (oldest === undefined || statement.lastUsed < oldest.lastUsed) oldest = statement;
    }
    if (oldest !== undefined) this.close(oldest);
  }

  /** Names to be closed on the server, once. */
  takeClosed(): readonly string[] {
    const names = this.#toClose;
    if (names.length > 0) this.#toClose = [];
    return names;
  }
}
