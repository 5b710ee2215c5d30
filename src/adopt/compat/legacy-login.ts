import type { PoolLike } from '../../database/kernel.ts';
import { withLockRetry } from '../../database/locks.ts';
import { type Queryable, type Row, renderSchema } from '../../database/sql.ts';
import { TenantryError } from '../../errors.ts';
import { weaknessesOfLogin } from '../../isolation/runtime-login.ts';

/** A login of an old application that is one tenant in every session, without sending a context. */
export interface LegacyLogin {
  readonly login: string;
  readonly tenantId: string;
  readonly organization: string;
  readonly declaredBy: string;
  readonly declaredAt: Date;
}

export interface LegacyLogins {
  list(): Promise<readonly LegacyLogin[]>;
  /**
   * From its next statement on the login sees and writes the rows of this organization, in every session that sends no context.
   *
   * @throws TNT_LOGIN_CAN_BYPASS for a login that policies do not hold, TNT_NOT_FOUND, TNT_TENANT_UNKNOWN
   */
  declare(login: string, organization: string): Promise<LegacyLogin>;
  /** @throws TNT_NOT_FOUND when it was not declared */
  remove(login: string): Promise<void>;
}

type LegacyRow = LegacyLogin & Row;

const listText = `select l.login, l.tenant_id::text as "tenantId", o.slug as organization, l.declared_by as "declaredBy", l.declared_at as "declaredAt"
  from tenantry.legacy_logins l join tenantry.organizations o on o.id = l.tenant_id order by l.login`;

export function createLegacyLogins(pool: PoolLike, schema: string): LegacyLogins {
  const sql = (text: string): string => renderSchema(text, schema);
  const list = async (db: Queryable): Promise<LegacyLogin[]> => (await db.query<LegacyRow>(sql(listText))).rows;
  /** One at a time: each change writes the same function. */
  const changing = <T>(work: (tx: Queryable) => Promise<T>): Promise<T> =>
    withLockRetry(pool, async (tx) => {
      await tx.query(sql('lock table tenantry.legacy_logins in share row exclusive mode'));
      return work(tx);
    });

  return {
    list: () => list(pool),

    declare: (login, organization) =>
      changing(async (tx) => {
        const { rows: logins } = await tx.query<Row & { may: boolean }>(
          'select r.rolcanlogin as may from pg_catalog.pg_roles r where r.rolname = $1::name',
          [login],
        );
        if (logins[0]?.may !== true) {
          throw new TenantryError('TNT_NOT_FOUND', `There is no login ${login} on this server.`, {
            hint: 'Name the login that the old application connects with: select rolname from pg_roles where rolcanlogin;',
          });
        }
        const weaknesses = await weaknessesOfLogin(tx, login, schema);
        if (weaknesses.length > 0) {
          throw new TenantryError(
            'TNT_LOGIN_CAN_BYPASS',
            `No policy would hold ${login} to one tenant: ${weaknesses.map(({ detail }) => detail).join('; ')}.`,
            { details: weaknesses, hint: 'Give the old application a plain login, and declare that one.' },
          );
        }
        const { rowCount } = await tx.query(
          sql(`insert into tenantry.legacy_logins (login, tenant_id) select $1::text, o.id from tenantry.organizations o where o.slug = $2::text
               on conflict (login) do update set tenant_id = excluded.tenant_id, declared_by = excluded.declared_by, declared_at = excluded.declared_at`),
          [login, organization],
        );
        if (rowCount !== 1)
          throw new TenantryError('TNT_TENANT_UNKNOWN', `There is no organization with the slug ${organization}.`);
        const made = (await list(tx)).find((one) => one.login === login);
        if (made === undefined) throw new TenantryError('TNT_INTERNAL', `${login} was not declared`);
        return made;
      }),

    remove: (login) =>
      changing(async (tx) => {
        const { rowCount } = await tx.query(sql('delete from tenantry.legacy_logins where login = $1::text'), [login]);
        if (rowCount === 0) throw new TenantryError('TNT_NOT_FOUND', `${login} was not declared a legacy login.`);
      }),
  };
}
