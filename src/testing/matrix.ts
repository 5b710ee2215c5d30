import type { Queryable } from '../database/sql.ts';
import { renderSchema } from '../database/sql.ts';

export interface SeedMatrixOptions {
  readonly organizations: number;
  /** Per organization. */
  readonly teams: number;
  /** All of them; user `i` is a member of every organization whose number it divides into, and of half of its teams. */
  readonly users: number;
  readonly schema?: string;
}

export interface MatrixUser {
  readonly id: string;
  /** In the organization of the cell. */
  readonly teamIds: readonly string[];
  readonly role: 'admin' | 'member';
}

export interface MatrixOrganization {
  readonly id: string;
  readonly teamIds: readonly string[];
  readonly members: readonly MatrixUser[];
}

export interface SeededMatrix {
  readonly organizations: readonly MatrixOrganization[];
  /** Every user, members of several organizations or of none among them. */
  readonly userIds: readonly string[];
}

/**
 * Organizations × teams × users, deterministic in shape: user `u` belongs to organization `o` when `(u + o) % 3 ≠ 0`, and
 * there to team `t` when `(u + o + t) % 2 = 0`; the first member of each is its administrator. Run it with the login that
 * migrates: it writes across tenants.
 *
 * @example
 * ```ts
 * const matrix = await seedMatrix(adminPool, { organizations: 4, teams: 3, users: 10 });
 * ```
 */
export async function seedMatrix(admin: Queryable, options: SeedMatrixOptions): Promise<SeededMatrix> {
  const { organizations, teams, users, schema = 'tenantry' } = options;
  const run = async <R extends Record<string, unknown>>(text: string, values: unknown[]): Promise<R[]> =>
    (await admin.query<R>(renderSchema(text, schema), values)).rows;
  const ids = async (text: string, values: unknown[]): Promise<string[]> =>
    (await run<{ id: string }>(text, values)).map((row) => row.id);

  const batch = (await ids('select tenantry.uuidv7() as id', []))[0] ?? '';
  const userIds = await ids(
    `insert into tenantry.users (email, name) select 'user-' || i || '.' || $2::text || '@example.com', 'User ' || i
     from generate_series(0, $1::int - 1) i order by i returning id`,
    [users, batch],
  );
  const made: MatrixOrganization[] = [];
  for (let o = 0; o < organizations; o += 1) {
    const [id = ''] = await ids(
      `insert into tenantry.organizations (name, slug) values ('Organization ' || $1::int, 'o-' || $1::int || '-' || $2::text) returning id`,
      [o, batch],
    );
    const teamIds = await ids(
      `insert into tenantry.teams (tenant_id, name, slug) select $1::uuid, 'Team ' || t, 't-' || t
       from generate_series(0, $2::int - 1) t order by t returning id`,
      [id, teams],
    );
    const members = userIds
      .map((userId, u) => ({ userId, u }))
      .filter(({ u }) => (u + o) % 3 !== 0)
      .map(({ userId, u }, i) => ({
        id: userId,
        role: i === 0 ? ('admin' as const) : ('member' as const),
        teamIds: teamIds.filter((_team, t) => (u + o + t) % 2 === 0),
      }));
    await run(
      `insert into tenantry.org_members (tenant_id, user_id, role) select $1::uuid, x.id, x.role
       from jsonb_to_recordset($2::jsonb) x(id uuid, role text)`,
      [id, JSON.stringify(members)],
    );
    await run(
      `insert into tenantry.team_members (tenant_id, user_id, team_id) select $1::uuid, x.id, t.id::uuid
       from jsonb_to_recordset($2::jsonb) x(id uuid, "teamIds" jsonb), jsonb_array_elements_text(x."teamIds") t(id)`,
      [id, JSON.stringify(members)],
    );
    made.push({ id, teamIds, members });
  }
  return { organizations: made, userIds };
}
