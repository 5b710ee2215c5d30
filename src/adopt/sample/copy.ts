import type { Queryable } from '../../database/sql.ts';

interface CopyConnection {
  query(text: string): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** COPY … FROM STDIN over `pg`, which has the protocol and no method for it. */
export function copyIn(client: Queryable, text: string, lines: readonly string[]): Promise<void> {
  const data = Buffer.from(lines.map((line) => `${line}\n`).join(''));
  return new Promise((resolve, reject) => {
    let failed = false;
    const submittable = {
      submit: (connection: CopyConnection) => connection.query(text),
      handleCopyInResponse: (connection: CopyConnection) => {
        connection.sendCopyFromChunk(data);
        connection.endCopyFrom();
      },
      handleError: (error: Error) => {
        failed = true;
        reject(error);
      },
      handleCommandComplete: () => undefined,
      handleReadyForQuery: () => {
        if (!failed) resolve();
      },
    };
    (client as unknown as { query(what: typeof submittable): void }).query(submittable);
  });
}
