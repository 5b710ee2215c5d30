import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type Audit, createAudit } from '../../src/audit/index.ts';
import { createOperatorPool } from '../../src/pool/index.ts';
import { createTenantry } from '../../src/tenantry.ts';
import { directoryFixture, newOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const signingKey = generateKeyPairSync('ed25519').privateKey;
const operatorPools: { end(): Promise<void> }[] = [];
let audit: Audit;
beforeAll(() => {
  const operator = createOperatorPool(f.db.operatorUrl, { max: 2 });
  operatorPools.push(operator!);
  audit = createTenantry({ pool: f.pool, operator, audit: { signingKey } }).audit;
});
afterAll(() => operatorPools[0]?.end());

const partitions = async (): Promise<string[]> =>
  (
    await f.db.query<{ name: string }>(
      `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'tenantry.audit_log'::regclass order by 1`,
    )
  ).map(({ name }) => name.replace('tenantry.', ''));

/** Moves the log back in time, hashes and all, as if it had been written then: for tests of old months. */
async function age(tenantId: string, fromSeq: number, toSeq: number, months: number): Promise<void> {
  await f.db.query(`do $do$
    declare
      e tenantry.audit_log;
      p bytea := (select hash from tenantry.audit_log where tenant_id = '${tenantId}' and seq = ${fromSeq} - 1);
    begin
      alter table tenantry.audit_log disable trigger user;
      for e in select * from tenantry.audit_log where tenant_id = '${tenantId}' and seq >= ${fromSeq} order by seq loop
        delete from tenantry.audit_log where tenant_id = e.tenant_id and seq = e.seq;
        if e.seq <= ${toSeq} then
          e.at := e.at - interval '${months} months';
        end if;
        e.prev_hash := coalesce(p, e.prev_hash);
        e.hash := sha256(tenantry.audit_bytes(e));
        p := e.hash;
        insert into tenantry.audit_log values (e.*);
      end loop;
      update tenantry.tenant_heads set audit_hash = p where tenant_id = '${tenantId}';
      alter table tenantry.audit_log enable trigger user;
    end $do$`);
}

describe('partitions of the audit log', () => {
  it('are there for this month and the year to come, each with its own unique numbers and without a grant', async () => {
    const names = await partitions();
    const month = new Date().toISOString().slice(0, 7).replace('-', '_');
    expect(names).toContain(`audit_log_${month}`);
    expect(names).toHaveLength(14); // thirteen months and the default
    for (const name of names) {
      await expect(
        f.db.query(`insert into tenantry.${name} select * from tenantry.audit_log limit 0`),
      ).resolves.toEqual([]);
      const [row] = await f.db.query<{ unique: number; reachable: boolean; secured: boolean }>(
        `select (select count(*)::int from pg_index i where i.indrelid = c.oid and i.indisunique) as unique,
           has_table_privilege('tenantry_app', c.oid, 'select, insert, update, delete, truncate') as reachable, c.relrowsecurity as secured
         from pg_class c where c.oid = $1::regclass`,
        [`tenantry.${name}`],
      );
      expect(row, name).toEqual({ unique: 3, reachable: false, secured: true });
      await expect(f.db.query(`truncate tenantry.${name}`)).rejects.toMatchObject({ code: '42501' });
    }
  });

  it('that are missing never make an insert fail: rows wait in the default partition and get their months later', async () => {
    const a = await newOrganization(f);
    const month = new Date().toISOString().slice(0, 7).replace('-', '_');
    await f.db.query(`alter table tenantry.audit_log detach partition tenantry.audit_log_${month}`);
    await f.db.query(`drop table tenantry.audit_log_${month}`);
    await a.asAdmin(() => audit.record({ action: 'stray' }));
    expect(await f.db.query('select action from tenantry.audit_log_default')).toEqual([{ action: 'stray' }]);
    // twenty at once, while others go on writing
    await Promise.all([
      ...Array.from({ length: 8 }, () => audit.maintain()),
      ...Array.from({ length: 8 }, () => a.asAdmin(() => audit.record({ action: 'meanwhile' }))),
    ]);
    await audit.maintain();
    expect(await f.db.query('select action from tenantry.audit_log_default')).toEqual([]);
    expect(await partitions()).toContain(`audit_log_${month}`);
    expect(await audit.maintain()).toBe(0);
    expect(await a.asAdmin(() => audit.verify())).toMatchObject({ ok: true, entries: 9 });
  });

  it('that are missing are asked for before anything is held that a writer waits for', async () => {
    const a = await newOrganization(f);
    const month = new Date().toISOString().slice(0, 7).replace('-', '_');
    await f.db.query(`alter table tenantry.audit_log detach partition tenantry.audit_log_${month}`);
    await f.db.query(`drop table tenantry.audit_log_${month}`);
    await a.asAdmin(() => audit.record({ action: 'stray' }));
    let recorded = (): void => {};
    let commit = (): void => {};
    const isRecorded = new Promise<void>((done) => (recorded = done));
    const mayCommit = new Promise<void>((done) => (commit = done));
    const written = a.asAdmin(() =>
      f.kernel.transaction(async (tx) => {
        await audit.record({ action: 'open' }, tx);
        recorded();
        await mayCommit;
      }),
    );
    await isRecorded;
    const maintained = audit.maintain();
    const held = await vi.waitFor(
      async () => {
        const rows = await f.db.query<{ held: number }>(
          `select (select count(*)::int from pg_locks h where h.pid = w.pid and h.granted and h.relation = 'tenantry.audit_log'::regclass) as held
           from pg_locks w join pg_database d on d.oid = w.database and d.datname = current_database()
           where not w.granted and w.relation = 'tenantry.organizations'::regclass`,
        );
        expect(rows).toHaveLength(1);
        return rows[0]?.held;
      },
      { timeout: 30_000, interval: 10 },
    );
    commit();
    await Promise.all([written, maintained]);
    expect(held).toBe(0);
    expect(await a.asAdmin(() => audit.verify())).toMatchObject({ ok: true, entries: 2 });
  });
});

describe('retention', () => {
  it('drops whole months under a signed checkpoint, and verification goes on from it', async () => {
    const [a, b, c] = [await newOrganization(f), await newOrganization(f), await newOrganization(f)];
    for (const organization of [a, b, c])
      await organization.asAdmin(async () => {
        for (let i = 1; i <= 4; i += 1) await audit.record({ action: `step.${i}` });
      });
    await age(a.tenantId, 1, 3, 5);
    await age(b.tenantId, 1, 4, 5); // the whole of it
    const removed = await audit.retain({ months: 3 });
    expect(removed).toMatchObject([{ entries: 7, organizations: 2 }]);
    const reports = await Promise.all([a, b, c].map((one) => one.asAdmin(() => audit.verify())));
    expect(reports).toMatchObject([
      { ok: true, startsAfter: 3, entries: 1, checkpoints: { verified: 1 } },
      { ok: true, startsAfter: 4, entries: 0, checkpoints: { verified: 1 } },
      { ok: true, startsAfter: 0, entries: 4, checkpoints: { verified: 0 } },
    ]);
    // numbers and links go on
    await b.asAdmin(() => audit.record({ action: 'after' }));
    expect(await b.asAdmin(() => audit.verify())).toMatchObject({ ok: true, entries: 1, end: { seq: 5 } });
    // without the checkpoint it is a gap again, and so it is when the key is not trusted
    const stranger = createAudit(f.kernel, { signingKey: generateKeyPairSync('ed25519').privateKey });
    expect(await a.asAdmin(() => stranger.verify())).toMatchObject({ ok: false, problems: [{ kind: 'gap', seq: 1 }] });
    expect(await audit.retain({ months: 3 })).toEqual([]);
    const [operator] = await f.db.query('select reason from tenantry.operator_log limit 1');
    expect(operator).toEqual({ reason: 'audit retention' });
  });

  it('drops nothing when the month is damaged', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(async () => {
      for (let i = 1; i <= 3; i += 1) await audit.record({ action: `step.${i}` });
    });
    await age(a.tenantId, 1, 3, 7);
    await f.db.query('alter table tenantry.audit_log disable trigger user');
    await f.db.query(`update tenantry.audit_log set action = 'x' where tenant_id = $1 and seq = 2`, [a.tenantId]);
    await f.db.query('alter table tenantry.audit_log enable trigger user');
    await expect(audit.retain({ months: 3 })).rejects.toMatchObject({ code: 'TNT_AUDIT_BROKEN' });
    expect(await a.asAdmin(() => audit.verify())).toMatchObject({ ok: false, entries: 3 });
  });

  it('takes an operator connection and a sensible number', async () => {
    await expect(createAudit(f.kernel, { signingKey }).retain({ months: 1 })).rejects.toMatchObject({
      code: 'TNT_OPERATOR_UNAVAILABLE',
    });
    await expect(audit.retain({ months: 0 })).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });
  });
});
