import { createHash } from 'node:crypto';
import { migrationFiles } from '../generated/migrations.ts';
import { renderSchema } from './sql.ts';

/** One numbered step of Tenantry's own schema. */
export interface Migration {
  readonly id: number;
  readonly name: string;
  readonly up: string;
  readonly down: string;
  /** SHA-256 of the up file as released: an edit after release is noticed. */
  readonly checksum: string;
}

/** All migrations in order, rendered for the schema. */
export function listMigrations(
  schema = 'tenantry',
  files: Readonly<Record<string, string>> = migrationFiles,
): Migration[] {
  return Object.keys(files)
    .filter((file) => file.endsWith('.up.sql'))
    .sort()
    .map((file) => {
      const match = /^(\d{4})_(.+)\.up\.sql$/.exec(file);
      const up = files[file];
      const down = files[file.replace('.up.sql', '.down.sql')];
      if (match?.[1] === undefined || match[2] === undefined || up === undefined || down === undefined) {
        throw new Error(`migration ${file} has no number or no down file`);
      }
      return {
        id: Number(match[1]),
        name: match[2],
        up: renderSchema(up, schema),
        down: renderSchema(down, schema),
        checksum: createHash('sha256').update(up).digest('hex'),
      };
    });
}
