import type { PrismaPg } from '@prisma/adapter-pg';
import { generatePrismaClient } from './prisma.ts';

export interface NoteModel {
  readonly id: string;
  readonly tenantId: string;
  readonly notebookId: string;
  readonly body: string;
}
export interface NotebookModel {
  readonly id: string;
  readonly tenantId: string;
  readonly title: string;
}
type Found<R> = PrismaPromise<R | null> & { notebook(): PrismaPromise<NotebookModel | null> };
export type PrismaPromise<R> = Promise<R>;

/** What the tests use of the client that is generated from schema.prisma: it does not exist when types are checked. */
export interface NoteModels {
  note: {
    findMany(args?: object): PrismaPromise<NoteModel[]>;
    findFirst(args?: object): PrismaPromise<NoteModel | null>;
    findUnique(args: object): Found<NoteModel>;
    findUniqueOrThrow(args: object): Found<NoteModel>;
    create(args: object): PrismaPromise<NoteModel>;
    updateMany(args: object): PrismaPromise<{ count: number }>;
    deleteMany(args: object): PrismaPromise<{ count: number }>;
    count(): PrismaPromise<number>;
  };
  notebook: { findUnique(args: object): PrismaPromise<NotebookModel | null> };
  $queryRawUnsafe<R>(text: string): PrismaPromise<R[]>;
}
export interface NoteTransactionClient extends NoteModels {
  $transaction<T>(fn: (tx: NoteModels) => Promise<T>): Promise<T>;
}
export interface NoteClient extends NoteModels {
  $transaction<T>(fn: (tx: NoteTransactionClient) => Promise<T>, options?: object): Promise<T>;
  $transaction<T extends readonly unknown[]>(work: T): Promise<{ [K in keyof T]: Awaited<T[K]> }>;
  $extends(extension: object): NoteClient;
  $disconnect(): Promise<void>;
}

/** The generated class. */
export async function prismaNotes(): Promise<new (options: { adapter: PrismaPg }) => NoteClient> {
  const module = await generatePrismaClient(new URL('../conformance/schema.prisma', import.meta.url));
  return module.PrismaClient as new (options: {
    adapter: PrismaPg;
  }) => NoteClient;
}
