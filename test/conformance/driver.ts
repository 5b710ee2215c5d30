import type { TenantPool, TenantPoolOptions } from '../../src/pool/index.ts';
import type { NewNote, Note } from './notes.ts';

/** What a driver or ORM does with the two tables of the suite, in its own usual way. No statement names a tenant. */
export interface NoteOperations {
  readAll(): Promise<Note[]>;
  readById(id: string): Promise<Note | undefined>;
  /** Notes with the title of their notebook. */
  join(): Promise<{ tenantId: string; title: string; body: string }[]>;
  insert(note: NewNote): Promise<unknown>;
  /** @returns the number of rows */
  update(id: string, body: string): Promise<number>;
  /** @returns the number of rows */
  remove(id: string): Promise<number>;
  /** Text of the application's own. @returns the rows */
  raw(text: string): Promise<readonly unknown[]>;
}

export interface NoteTransaction extends NoteOperations {
  /** A savepoint in the driver's own way. */
  nested(fn: (inner: NoteOperations) => Promise<unknown>): Promise<unknown>;
}

export interface NoteSession extends NoteOperations {
  transaction<T>(fn: (tx: NoteTransaction) => Promise<T>): Promise<T>;
  /** A query that is built here and sent when `run` is called. */
  lazy?(): { run(): PromiseLike<Note[]> };
  /** The rows of readAll, one by one; `seen` is called in the event that brings one. */
  stream?(seen: (note: Note) => void): Promise<void>;
  /** Closes what the driver opened; the pool is the suite's. */
  teardown(): Promise<void>;
}

/** Cases a driver may be exempt from, by name and with a reason. */
export type ExemptCase = 'lazy' | 'stream' | 'nested';

export interface IsolationDriver {
  readonly name: string;
  readonly exempt?: Partial<Record<ExemptCase, string>>;
  /** How the suite opens the pool. */
  readonly pool?: TenantPoolOptions;
  open(pool: TenantPool): Promise<NoteSession>;
}
