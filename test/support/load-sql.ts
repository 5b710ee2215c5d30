import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type pg from 'pg';
import { from as copyFrom } from 'pg-copy-streams';

/** Lines that a dump has for psql or for another server: not for us. */
const left = /^\s*(\\|create database|drop database|alter .* owner to|set default_with_oids|set row_security)/i;

/**
 * Loads a dump as psql would: statements as they stand, `COPY … FROM stdin` with its lines. What creates, drops or changes the
 * database, and owners that are not here, is left out.
 */
export async function loadSql(client: pg.PoolClient | pg.Client, file: string): Promise<void> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  let text: string[] = [];
  const flush = async (): Promise<void> => {
    const batch = text.join('\n');
    text = [];
    if (batch.trim() !== '') await client.query(batch);
  };
  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i] ?? '';
    if (/^copy .* from stdin;\s*$/i.test(line)) {
      await flush();
      const end = lines.indexOf('\\.', i);
      const rows = lines.slice(i + 1, end).map((row) => `${row}\n`);
      await pipeline(Readable.from(rows), client.query(copyFrom(line.replace(/;\s*$/, ''))));
      i = end;
    } else if (!left.test(line)) text.push(line);
  }
  await flush();
  await client.query('reset all');
}
