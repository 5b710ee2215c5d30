import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditWatch, createAuditWatch } from '../../src/audit/watch.ts';
import { createKernel } from '../../src/database/kernel.ts';
import { createIsolation } from '../../src/isolation/index.ts';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
let watch: AuditWatch;
beforeAll(async () => {
  watch = createAuditWatch(createKernel(f.db.admin));
  await f.db.query(`create table notes (id uuid primary key default gen_random_uuid(), tenant_id uuid not null, title text,
    body text, api_token text, "passwordHash" text, photo bytea, token_count int)`);
  await createIsolation({ admin: f.db.admin }).protect('notes');
  await watch.watch('notes', { without: ['body'], with: ['token_count'] });
});

const entries = (a: TestOrganization) =>
  a.asAdmin(async () =>
    (await f.audit.list()).items
      .toReversed()
      .map(({ action, actorPrincipalId, resourceId, details }) => ({ action, actorPrincipalId, resourceId, details })),
  );

describe('watched tables', () => {
  it('log inserted, updated and deleted rows with who did it, and no secret', async () => {
    const a = await newOrganization(f);
    const id = '0198c7a0-0000-7000-8000-00000000000a';
    await a.asAdmin(async () => {
      await f.kernel.query(
        `insert into notes (id, tenant_id, title, body, api_token, "passwordHash", photo, token_count)
         values ($1, $2, 'One', 'B-SECRET', 'T-SECRET', 'H-SECRET', 'P-SECRET', 3)`,
        [id, a.tenantId],
      );
      await f.kernel.query(`update notes set title = 'Two', api_token = 'U-SECRET' where id = $1`, [id]);
      await f.kernel.query(`update notes set title = 'Two' where id = $1`, [id]); // nothing changes
      await f.kernel.query('delete from notes where id = $1', [id]);
    });
    const found = await entries(a);
    const withheld = ['api_token', 'body', 'passwordHash', 'photo'];
    const common = { table: 'public.notes', id: { id }, login: 'Tenantry_Test_App' };
    const row = { id, tenant_id: a.tenantId, title: 'One', token_count: 3 };
    expect(
      found.map(({ details, ...rest }) => ({
        ...rest,
        details: { ...details, withheld: (details['withheld'] as string[]).toSorted() },
      })),
    ).toEqual([
      {
        action: 'row.inserted',
        actorPrincipalId: a.adminId,
        resourceId: id,
        details: { ...common, new: row, withheld },
      },
      {
        action: 'row.updated',
        actorPrincipalId: a.adminId,
        resourceId: id,
        details: { ...common, changes: { title: ['One', 'Two'] }, withheld: ['api_token'] },
      },
      {
        action: 'row.deleted',
        actorPrincipalId: a.adminId,
        resourceId: id,
        details: { ...common, old: { ...row, title: 'Two' }, withheld },
      },
    ]);
    expect(JSON.stringify(await f.db.query('select * from tenantry.audit_log'))).not.toMatch(/SECRET|5345435245/);
    expect(await a.asAdmin(() => f.audit.verify())).toMatchObject({ ok: true, entries: 3 });
  });

  it('keep a column that looks like a secret out of the log also when it is added later', async () => {
    const a = await newOrganization(f);
    await f.db.query('alter table notes add column client_secret text');
    await a.asAdmin(() =>
      f.kernel.query(`insert into notes (tenant_id, title, client_secret) values ($1, repeat('x', 5000), 'C-SECRET')`, [
        a.tenantId,
      ]),
    );
    const [entry] = await entries(a);
    expect(JSON.stringify(entry)).not.toContain('C-SECRET');
    expect(entry!.details).toMatchObject({
      new: { title: { length: 5002, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) } },
    });
  });

  it('cost two transactions of one organization that change the same rows no deadlock', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      await f.kernel.query(`insert into notes (tenant_id, title) select $1, n::text from generate_series(1, 4) n`, [
        a.tenantId,
      ]);
      await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          f.kernel.transaction(async (tx) => {
            for (const title of ['1', '2', '3', '4'])
              await tx.query('update notes set token_count = $2 where tenant_id = $3 and title = $1', [
                title,
                i,
                a.tenantId,
              ]);
          }),
        ),
      );
      expect(await f.audit.verify()).toMatchObject({ ok: true, entries: 36 });
    });
  });

  it('tell operators of rows of no organization, and of a table that was emptied', async () => {
    await f.db.query(`create table loose (id int primary key, account text)`);
    await watch.watch('public.loose', { tenantColumn: 'account' });
    await f.db.query(`insert into loose values (1, null)`);
    await f.db.query('truncate loose');
    expect(
      await f.db.query(`select reason, details ->> 'table' as name from tenantry.operator_log order by at`),
    ).toEqual([
      { reason: 'a row of no organization was changed', name: 'public.loose' },
      { reason: 'a watched table was emptied', name: 'public.loose' },
    ]);
  });

  it('are listed, and watched no longer when asked', async () => {
    expect(await watch.watched()).toContainEqual({
      table: 'public.notes',
      tenantColumn: 'tenant_id',
      without: ['body', 'photo'],
      with: ['token_count'],
    });
    await watch.unwatch('notes');
    expect((await watch.watched()).map(({ table }) => table)).toEqual(['public.loose']);
    const a = await newOrganization(f);
    await a.asAdmin(() => f.kernel.query(`insert into notes (tenant_id, title) values ($1, 'x')`, [a.tenantId]));
    expect(await entries(a)).toEqual([]);
    await watch.unwatch('loose');
    for (const [name, code] of [
      ['nothing', 'TNT_TABLE_UNKNOWN'],
      ['tenantry.users', 'TNT_INPUT_INVALID'],
    ]) {
      await expect(watch.watch(name!)).rejects.toMatchObject({ code });
    }
    await expect(watch.watch('notes', { without: ['nope'] })).rejects.toThrow(/has no column nope/);
    await f.db.query('create table keyless (tenant_id uuid)');
    await expect(watch.watch('keyless')).rejects.toThrow(/no primary key/);
  });
});
