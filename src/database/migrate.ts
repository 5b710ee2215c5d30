import { setTimeout as sleep } from 'node:timers/promises';
import { TenantryError } from '../errors.ts';
import { version } from '../version.ts';
import { sqlStateOf, translateDatabaseError } from './database-error.ts';
import { warnOfDrift } from './drift.ts';
import type { ClientLike, PoolLike } from './kernel.ts';
import { listMigrations, type Migration } from './migrations.ts';
import { ident, literal } from './sql.ts';

export interface MigrateOptions {
  /** Defaults to `tenantry`. */
  readonly schema?: string;
  /** Up: stop after this id. Down: stop when this id is the newest one. */
  readonly to?: number;
  /** Down: how many steps. Defaults to one. */
  readonly steps?: number;
  readonly migrations?: readonly Migration[];
}

export interface MigrationStatus {
  readonly id: number;
  readonly name: string;
  readonly appliedAt: Date | undefined;
  /** The released file is no longer the one that was applied. */
  readonly edited: boolean;
}

interface AppliedRow extends Record<string, unknown> {
  id: number;
  name: string;
  checksum: string;
  applied_at: Date;
}

/** What is applied and what is not. Also answers on a database without Tenantry. */
export async function migrationStatus(pool: PoolLike, options: MigrateOptions = {}): Promise<MigrationStatus[]> {
  const { schema = 'tenantry', migrations = listMigrations(schema) } = options;
  const applied = await appliedMigrations(pool, schema);
  const known = migrations.map(({ id, name, checksum }) => {
    const row = applied.get(id);
    return { id, name, appliedAt: row?.applied_at, edited: row !== undefined && row.checksum !== checksum };
  });
  const newer = [...applied.values()]
    .filter((row) => !migrations.some((migration) => migration.id === row.id))
    .map((row) => ({ id: row.id, name: row.name, appliedAt: row.applied_at, edited: false }));
  return [...known, ...newer];
}

/**
 * Applies what is missing, each migration in its own transaction. Run again, or by twenty processes at once: no change.
 *
 * @returns the migrations that this call applied
 * @throws TNT_PRIVILEGE_MISSING, TNT_SERVER_TOO_OLD, TNT_SCHEMA_NEWER, TNT_MIGRATION_FAILED, TNT_MIGRATION_EDITED
 */
export async function migrateUp(pool: PoolLike, options: MigrateOptions = {}): Promise<Migration[]> {
  const { schema = 'tenantry', to = Number.POSITIVE_INFINITY, migrations = listMigrations(schema) } = options;
  await assertServerVersion(pool);
  const done: Migration[] = [];
  for (let attempts = 0; ; ) {
    const applied = await appliedMigrations(pool, schema);
    assertUnedited(applied, migrations);
    const next = migrations.find((migration) => !applied.has(migration.id) && migration.id <= to);
    if (next === undefined) return done;
    try {
      await inTransaction(pool, async (client) => {
        if (next.id > 1) {
          await client.query(historyInsert(schema, next));
          await client.query('set local role tenantry_owner');
        }
        await client.query(next.up);
        if (next.id === 1) await client.query(historyInsert(schema, next));
      });
      done.push(next);
      attempts = 0;
    } catch (error) {
      attempts += 1;
      if (!isRace(error, next) || attempts > 20) throw migrationError(error, next, 'up');
      await sleep(20 + Math.random() * 80); // another migrator was faster: read again what is there
    }
  }
}

/**
 * Takes the newest migrations back, each in its own transaction.
 *
 * @returns the migrations that this call took back, newest first
 */
export async function migrateDown(pool: PoolLike, options: MigrateOptions = {}): Promise<Migration[]> {
  const { schema = 'tenantry', migrations = listMigrations(schema) } = options;
  const steps = options.to === undefined ? (options.steps ?? 1) : Number.POSITIVE_INFINITY;
  const to = options.to ?? 0;
  const done: Migration[] = [];
  while (done.length < steps) {
    const applied = await appliedMigrations(pool, schema);
    const newest = Math.max(0, ...applied.keys());
    if (newest <= to) return done;
    const last = migrations.find((migration) => migration.id === newest);
    if (last === undefined) {
      throw new TenantryError(
        'TNT_SCHEMA_NEWER',
        `The schema ${schema} has migration ${newest}, which tenantry ${version} does not know.`,
      );
    }
    try {
      await inTransaction(pool, async (client) => {
        await client.query(`select 1 from ${ident(schema)}.migrations where id = ${last.id} for update`);
        if (last.id > 1) {
          await client.query(`delete from ${ident(schema)}.migrations where id = ${last.id}`);
          await client.query('set local role tenantry_owner');
        }
        await client.query(last.down);
      });
    } catch (error) {
      throw migrationError(error, last, 'down');
    }
    done.push(last);
  }
  return done;
}

/** The SQL of all migrations that are not applied (or of all), for those who run theirs with another tool. */
export function migrationScript(migrations: readonly Migration[], schema: string, direction: 'up' | 'down'): string {
  const parts = (direction === 'up' ? migrations : [...migrations].reverse()).map((migration) => {
    const role = migration.id > 1 ? 'set local role tenantry_owner;\n' : '';
    const insert = `${historyInsert(schema, migration)};\n`;
    const body =
      direction === 'up'
        ? `${migration.id > 1 ? insert : ''}${role}${migration.up}${migration.id === 1 ? insert : ''}`
        : `${migration.id > 1 ? `delete from ${ident(schema)}.migrations where id = ${migration.id};\n` : ''}${role}${migration.down}`;
    return `-- ${String(migration.id).padStart(4, '0')}_${migration.name} (${direction})\nbegin;\n${body}commit;\n`;
  });
  return parts.join('\n');
}

export interface StartOptions extends MigrateOptions {
  /**
   * Told once of what came since an adoption and nobody classified: a line with the next step; nothing is refused for it.
   * Defaults to a warning of the process; false: nobody is told.
   */
  readonly onWarning?: ((message: string) => void) | false;
}

/**
 * Compares the schema's version with this package's: the check at start. Also warns of what came since an adoption.
 *
 * @throws TNT_SCHEMA_MISSING, TNT_SCHEMA_OUTDATED, TNT_SCHEMA_NEWER
 */
export async function assertMigrated(pool: PoolLike, options: StartOptions = {}): Promise<void> {
  const { schema = 'tenantry', migrations = listMigrations(schema), onWarning } = options;
  const applied = await appliedMigrations(pool, schema);
  if (applied.size === 0)
    throw new TenantryError('TNT_SCHEMA_MISSING', `The database has no schema ${schema} of Tenantry.`);
  const missing = migrations.filter((migration) => !applied.has(migration.id));
  if (missing.length > 0) {
    throw new TenantryError(
      'TNT_SCHEMA_OUTDATED',
      `The schema ${schema} lacks ${missing.length} migration(s) of tenantry ${version}: ${missing.map((m) => m.name).join(', ')}.`,
    );
  }
  const newest = Math.max(...applied.keys());
  if (!migrations.some((migration) => migration.id === newest)) {
    throw new TenantryError(
      'TNT_SCHEMA_NEWER',
      `The schema ${schema} has migration ${newest}, which tenantry ${version} does not know.`,
    );
  }
  if (onWarning !== false) await warnOfDrift(pool, schema, onWarning);
}

async function appliedMigrations(pool: PoolLike, schema: string): Promise<Map<number, AppliedRow>> {
  try {
    const { rows } = await pool.query<AppliedRow>(
      `select id, name, checksum, applied_at from ${ident(schema)}.migrations order by id`,
    );
    return new Map(rows.map((row) => [row.id, row]));
  } catch (error) {
    const state = sqlStateOf(error);
    if (state === '42P01' || state === '3F000') return new Map(); // undefined_table, invalid_schema_name
    throw translateDatabaseError(error);
  }
}

async function assertServerVersion(pool: PoolLike): Promise<void> {
  const { rows } = await pool
    .query<{ number: number; text: string }>(
      "select current_setting('server_version_num')::int as number, current_setting('server_version') as text",
    )
    .catch((error: unknown) => {
      throw translateDatabaseError(error);
    });
  const server = rows[0];
  if (server !== undefined && server.number < 150000) {
    throw new TenantryError('TNT_SERVER_TOO_OLD', `The server runs PostgreSQL ${server.text}.`);
  }
}

function assertUnedited(applied: Map<number, AppliedRow>, migrations: readonly Migration[]): void {
  for (const { id, name, checksum } of migrations) {
    const row = applied.get(id);
    if (row !== undefined && row.checksum !== checksum) {
      throw new TenantryError(
        'TNT_MIGRATION_EDITED',
        `Migration ${id} (${name}) differs from the one that this database has applied.`,
      );
    }
  }
}

const historyInsert = (schema: string, { id, name, checksum }: Migration): string =>
  `insert into ${ident(schema)}.migrations (id, name, checksum, tenantry_version) values (${id}, ${literal(name)}, ${literal(checksum)}, ${literal(version)})`;

async function inTransaction(pool: PoolLike, fn: (client: ClientLike) => Promise<void>): Promise<void> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query("begin; set local lock_timeout = '10s'");
    await fn(client);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch((lost: Error) => {
      broken = lost;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

/** What a racing migrator meets: unique violation, lock time-out, deadlock, a catalogue row that two sessions updated. */
const raceStates = new Set(['23505', '55P03', '40P01', 'XX000']);
/** Before the history table exists, racers meet at the schema itself: duplicate schema, function, table or role. */
const firstRaceStates = new Set([...raceStates, '42P06', '42723', '42P07', '42710']);

function isRace(error: unknown, { id }: Migration): boolean {
  return (id === 1 ? firstRaceStates : raceStates).has(sqlStateOf(error) ?? '');
}

function migrationError(error: unknown, { id, name }: Migration, direction: 'up' | 'down'): TenantryError {
  const translated = translateDatabaseError(error);
  if (translated instanceof TenantryError) return translated;
  const said = error instanceof Error ? error.message : String(error);
  const duplicate = ['42P06', '42P07', '42723', '42710'].includes(sqlStateOf(error) ?? '');
  return new TenantryError('TNT_MIGRATION_FAILED', `Migration ${id} (${name}) ${direction} failed: ${said}.`, {
    cause: error,
    details: { migration: id, sqlstate: sqlStateOf(error) ?? null },
    ...(duplicate
      ? {
          hint: 'It finds objects that no recorded migration made: half-applied by hand? Remove them, or record the migration, then run: tenantry migrate up',
        }
      : {}),
  });
}
