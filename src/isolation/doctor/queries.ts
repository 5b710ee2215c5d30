import { translateDatabaseError } from '../../database/database-error.ts';
import { type Queryable, renderSchema } from '../../database/sql.ts';

export interface Identity extends Record<string, unknown> {
  readonly login: string;
  readonly version: string;
  /** `server_version_num`: 150018 is 15.18. */
  readonly number: number;
  /** The schema has the function that checks start from. */
  readonly ready: boolean;
}

/** Who the connection is and what it reaches. */
export async function identify(app: Queryable, schema: string): Promise<Identity> {
  const text = `
    select current_user::text as login,
           pg_catalog.current_setting('server_version') as version,
           pg_catalog.current_setting('server_version_num')::integer as number,
           pg_catalog.to_regprocedure('tenantry.protected_tables()') is not null as ready`;
  const { rows } = await app.query<Identity>(renderSchema(text, schema)).catch((error: unknown) => {
    throw translateDatabaseError(error);
  });
  const [identity] = rows as [Identity]; // a select without from has one row
  return identity;
}
