import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { withSystem, withTenant, withUser } from '../../src/context/index.ts';
import { systemRoles } from '../../src/directory/index.ts';
import { type SeededMatrix, seedMatrix } from '../../src/testing/matrix.ts';
import { directoryFixture } from '../directory/fixture.ts';

const f = directoryFixture();

describe('D3: caller_principals() over organizations × teams × users', () => {
  let matrix: SeededMatrix;
  beforeAll(async () => {
    matrix = await seedMatrix(f.db.admin, { organizations: 5, teams: 4, users: 12 });
  });

  it('is tenant, user, teams and role for every member, and nothing for everybody else', async () => {
    for (const organization of matrix.organizations) {
      expect(organization.members.length).toBeGreaterThan(0);
      for (const userId of matrix.userIds) {
        const member = organization.members.find((m) => m.id === userId);
        const principals = await withTenant({ tenantId: organization.id, userId }, () => f.principals.mine());
        const expected =
          member === undefined ? [] : [organization.id, userId, systemRoles[member.role].id, ...member.teamIds];
        expect([...principals].sort()).toEqual([...expected].sort());
      }
    }
  });

  it('is the tenant alone for a context without a user, and empty without a tenant', async () => {
    const [organization] = matrix.organizations;
    expect(await withTenant({ tenantId: organization!.id }, () => f.principals.mine())).toEqual([organization!.id]);
    expect(await withUser({ userId: matrix.userIds[0]! }, () => f.principals.mine())).toEqual([]);
    expect(await withSystem('test', () => f.principals.mine())).toEqual([]);
    expect(await withTenant({ tenantId: randomUUID(), userId: matrix.userIds[0]! }, () => f.principals.mine())).toEqual(
      [],
    );
  });

  it('names no principal twice, and only principals that exist', async () => {
    const organization = matrix.organizations[1]!;
    const member = organization.members.find((m) => m.teamIds.length > 0)!;
    const ids = await withTenant({ tenantId: organization.id, userId: member.id }, () => f.principals.mine());
    expect(new Set(ids).size).toBe(ids.length);
    const [row] = await f.db.query<{ n: number }>(
      'select count(*)::int n from tenantry.principals where tenant_id = $1 and id = any ($2::uuid[])',
      [organization.id, ids],
    );
    expect(row!.n).toBe(ids.length);
  });

  it('cannot be led astray by the search_path of its caller', async () => {
    const organization = matrix.organizations[0]!;
    const client = await f.db.admin.connect();
    await client.query('begin');
    await client.query('create schema evil');
    await client.query(
      `create function evil.current_setting(text, boolean) returns text language sql as $$ select '${organization.id}' $$`,
    );
    await client.query('set local search_path = evil, pg_catalog');
    const { rows } = await client.query(
      'select tenantry.caller_principals() ids, tenantry.caller_organizations() organizations',
    );
    expect(rows[0]).toEqual({ ids: [], organizations: [] });
    await client.query('rollback');
    client.release();
  });
});
