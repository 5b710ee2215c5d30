import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { createSampleShop, type SampleShop } from '../../../src/adopt/sample/index.ts';
import { createTestDatabase, type TestDatabase } from '../../support/database.ts';

export { countWrongTenants } from './wrong-tenants.ts';

/** A database with the sample shop in it, owned by a login of its own, as an old application's is. */
export interface ShopDatabase {
  readonly db: TestDatabase;
  /** Connections of tenantry_admin, enough for a run. */
  readonly pool: pg.Pool;
  readonly shopLogin: string;
  readonly shopUrl: string;
  readonly shop: SampleShop;
  drop(): Promise<void>;
}

export async function createShopDatabase(rows = 2000): Promise<ShopDatabase> {
  const db = await createTestDatabase();
  const shopLogin = `shop_app_${randomBytes(4).toString('hex')}`;
  const password = randomBytes(8).toString('hex');
  await db.query(`create role ${shopLogin} login password '${password}'`);
  await db.query(`grant ${shopLogin} to tenantry_admin`);
  await db.query(`grant create on schema public to ${shopLogin}`);
  const url = new URL(db.adminUrl);
  url.username = shopLogin;
  url.password = password;
  const owner = new pg.Client({ connectionString: url.toString() });
  await owner.connect();
  const shop = await createSampleShop(owner, { rows });
  await owner.end();
  const pool = new pg.Pool({ connectionString: db.adminUrl, max: 8 });
  pool.on('error', () => {});
  return {
    db,
    pool,
    shopLogin,
    shopUrl: url.toString(),
    shop,
    async drop() {
      await pool.end();
      await db.drop();
      const last = new pg.Client({ connectionString: new URL('/postgres', db.superuserUrl).toString() });
      await last.connect();
      await last.query(`drop role if exists ${shopLogin}`);
      await last.end();
    },
  };
}
