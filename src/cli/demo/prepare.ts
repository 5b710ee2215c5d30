import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createSampleShop, type SampleShop } from '../../adopt/sample/index.ts';
import { startEmbedded } from '../../database/embedded/server.ts';
import { type EmbeddedDatabase, openEmbedded } from '../../database/open.ts';
import { ident, literal } from '../../database/sql.ts';

export interface Stage {
  readonly database: EmbeddedDatabase;
  readonly shop: SampleShop;
  /** The old application's login: owner of its tables, knows nothing of tenants. */
  readonly oldUrl: string;
}

const name = 'tenantry_demo';

/** Starts the embedded server, and a fresh database on it. */
export async function openStage(folder: string, port: number | undefined): Promise<EmbeddedDatabase> {
  const options = { folder, ...(port === undefined ? {} : { port }) };
  const server = await startEmbedded(options);
  try {
    const root = new pg.Client({ connectionString: server.superuserUrl });
    await root.connect();
    try {
      await root.query(`drop database if exists ${ident(name)} with (force)`);
    } finally {
      await root.end();
    }
    return await openEmbedded({ ...options, database: name });
  } finally {
    await server.stop(); // whoever opened the database uses it on
  }
}

/** The single-tenant shop as it was before anybody thought of tenants. */
export async function buildShop(database: EmbeddedDatabase, rows: number, seed: number): Promise<Stage> {
  const login = 'shop_app';
  const password = randomBytes(18).toString('base64url');
  const admin = new pg.Client({ connectionString: database.adminUrl });
  await admin.connect();
  try {
    await admin.query(`do $$ begin create role ${login}; exception when duplicate_object then null; end $$`);
    await admin.query(`alter role ${login} login password ${literal(password)}`);
    await admin.query(`grant ${login} to current_user`);
    await admin.query(`grant usage, create on schema public to ${login}`);
  } finally {
    await admin.end();
  }
  const oldUrl = `postgresql://${login}:${password}@127.0.0.1:${database.server.port}/${name}`;
  const owner = new pg.Client({ connectionString: oldUrl });
  await owner.connect();
  try {
    const shop = await createSampleShop(owner, { rows, seed });
    await owner.query('analyze');
    return { database, shop, oldUrl };
  } finally {
    await owner.end();
  }
}
