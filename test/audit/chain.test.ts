import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, createAudit, verifyAuditExport } from '../../src/audit/index.ts';
import { directoryFixture, newOrganization, type TestOrganization } from '../directory/fixture.ts';

const f = directoryFixture();
const pair = generateKeyPairSync('ed25519');
const signingKey = pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const publicKey = pair.publicKey.export({ type: 'spki', format: 'pem' }).toString();
let audit: ReturnType<typeof createAudit>;
beforeAll(() => {
  audit = createAudit(f.kernel, { signingKey });
});

/** An organization with entries 1 to n. */
async function withEntries(n: number): Promise<TestOrganization> {
  const a = await newOrganization(f);
  await a.asAdmin(async () => {
    for (let i = 1; i <= n; i += 1) {
      await audit.record({
        action: `step.${i}`,
        details: { n: i, text: 'ünï "q" \\', big: 12345678901234567890n.toString() },
      });
    }
  });
  return a;
}

function barrier(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

async function collect(lines: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const line of lines) all.push(line);
  return all;
}

const kindsOf = (report: AuditReport): string[] => report.problems.map(({ kind, seq }) => `${kind} ${seq}`);
const verify = (a: TestOrganization, checkpoints: string[] = []): Promise<AuditReport> =>
  a.asAdmin(() => audit.verify({ checkpoints }));

/** Somebody with the owner's rights and every trigger out of the way. */
async function asAttacker(statements: string[], values: unknown[]): Promise<void> {
  const client = await f.db.admin.connect();
  try {
    await client.query('begin');
    await client.query('alter table tenantry.audit_log disable trigger user');
    await client.query('alter table tenantry.audit_checkpoints disable trigger user');
    for (const text of statements) await client.query(text, text.includes('$1') ? values : []);
    await client.query('alter table tenantry.audit_log enable trigger user');
    await client.query('alter table tenantry.audit_checkpoints enable trigger user');
    await client.query('commit');
  } finally {
    client.release();
  }
}

/** What somebody does who knows how the chain is made: a whole new one from entry $2 on, head included. */
const rechain = `do $do$
declare
  e tenantry.audit_log;
  p bytea;
begin
  select hash into p from tenantry.audit_log where tenant_id = 'TENANT' and seq = FROM - 1;
  for e in select * from tenantry.audit_log where tenant_id = 'TENANT' and seq >= FROM order by seq loop
    e.prev_hash := p;
    p := sha256(tenantry.audit_bytes(e));
    update tenantry.audit_log set prev_hash = e.prev_hash, hash = p where tenant_id = e.tenant_id and seq = e.seq;
  end loop;
  update tenantry.tenant_heads set audit_hash = p where tenant_id = 'TENANT';
end $do$`;

describe('audit chain', () => {
  it('is numbered, linked, and verifies with what was stored', async () => {
    const a = await withEntries(5);
    const report = await verify(a);
    expect(report).toMatchObject({ ok: true, entries: 5, startsAfter: 0, problems: [] });
    expect(report.end.seq).toBe(5);
    const empty = await newOrganization(f);
    expect(await verify(empty)).toMatchObject({ ok: true, entries: 0 });
  });

  it('does not fork under 16 concurrent writers, of which half write in longer transactions', async () => {
    const a = await newOrganization(f);
    await a.asAdmin(() =>
      Promise.all(
        Array.from({ length: 16 }, async (_, writer) => {
          for (let i = 0; i < 10; i += 1) {
            if (writer % 2 === 0) await audit.record({ action: `w.${writer}` });
            else
              await f.kernel.transaction(async (tx) => {
                await audit.record({ action: `w.${writer}`, details: { i } }, tx);
                await tx.query('select pg_sleep(0.002)');
                await audit.record({ action: `w.${writer}`, details: { i, again: true } }, tx);
              });
          }
        }),
      ),
    );
    expect(await verify(a)).toMatchObject({ ok: true, entries: 240 });
  });

  it('keeps nobody waiting inside a transaction: two that cross do not deadlock', async () => {
    const a = await newOrganization(f);
    const lock = 'select 1 from tenantry.workspaces where tenant_id = $1 and id = $2 for update';
    await a.asAdmin(async () => {
      const wrote = barrier();
      const locked = barrier();
      await Promise.all([
        // writes an entry, then wants the row
        f.kernel.transaction(async (tx) => {
          await audit.record({ action: 'one' }, tx);
          wrote.resolve();
          await locked.promise;
          await tx.query(lock, [a.tenantId, a.workspaceId]);
        }),
        // has the row, then writes an entry
        f.kernel.transaction(async (tx) => {
          await wrote.promise;
          await tx.query(lock, [a.tenantId, a.workspaceId]);
          locked.resolve();
          await tx.query('select pg_sleep(0.05)');
          await audit.record({ action: 'two' }, tx);
        }),
      ]);
      expect((await audit.list()).items.map(({ action }) => action)).toEqual(['one', 'two']);
    });
    expect(await verify(a)).toMatchObject({ ok: true, entries: 2 });
  });

  it('takes what functions of the owner insert into the log itself', async () => {
    const a = await withEntries(1);
    await f.db.query(`insert into tenantry.audit_log (tenant_id, action) values ($1, 'by.owner')`, [a.tenantId]);
    expect(await verify(a)).toMatchObject({ ok: true, entries: 2 });
  });

  it('goes with its organization, also when that ends in the same transaction', async () => {
    const a = await withEntries(2);
    await a.asAdmin(() =>
      f.kernel.transaction(async (tx) => {
        await audit.record({ action: 'the.end' }, tx);
        await tx.query('delete from tenantry.organizations where id = $1', [a.tenantId]);
      }),
    );
    expect(await f.db.query('select 1 from tenantry.audit_log where tenant_id = $1', [a.tenantId])).toEqual([]);
  });
});

describe('attacks on the audit log', () => {
  it.each([
    [
      'an edit by the owner',
      [`update tenantry.audit_log set action = 'nothing' where tenant_id = $1 and seq = 3`],
      ['edit 3'],
    ],
    [
      'an edit of the details alone',
      [`update tenantry.audit_log set details = '{"n": 3, "text": "x"}' where tenant_id = $1 and seq = 3`],
      ['edit 3'],
    ],
    ['a deletion by the owner', ['delete from tenantry.audit_log where tenant_id = $1 and seq = 3'], ['gap 3']],
    [
      'two entries that changed places',
      [
        `update tenantry.audit_log set seq = 99 where tenant_id = $1 and seq = 2`,
        `update tenantry.audit_log set seq = 2 where tenant_id = $1 and seq = 3`,
        `update tenantry.audit_log set seq = 3 where tenant_id = $1 and seq = 99`,
      ],
      ['link 2', 'edit 2', 'link 3', 'edit 3', 'order 3', 'link 4'],
    ],
    ['a tail that was cut off', ['delete from tenantry.audit_log where tenant_id = $1 and seq > 3'], ['head 5']],
    ['a beginning that was cut off', ['delete from tenantry.audit_log where tenant_id = $1 and seq < 3'], ['gap 1']],
    ['everything deleted', ['delete from tenantry.audit_log where tenant_id = $1'], ['head 5']],
    [
      'an entry slipped in behind the end',
      [
        `insert into tenantry.audit_log (tenant_id, seq, action, prev_hash, hash) values ($1, 6, 'x', sha256('x'), sha256('y'))`,
      ],
      ['unchained 6'],
    ],
    [
      'a fork: a second entry 3 in another month',
      [
        `insert into tenantry.audit_log (tenant_id, at, seq, action, prev_hash, hash)
         select tenant_id, at + interval '1 month', seq, 'other', prev_hash, sha256('y') from tenantry.audit_log where tenant_id = $1 and seq = 3`,
      ],
      ['fork 3'],
    ],
    [
      'an entry that was never chained',
      [
        'alter table tenantry.audit_pending disable trigger chain_audit',
        `insert into tenantry.audit_pending (tenant_id, action) values ($1, 'hidden')`,
        'alter table tenantry.audit_pending enable trigger chain_audit',
      ],
      ['unchained 6'],
    ],
  ])('%s is found', async (_, statements, expected) => {
    const a = await withEntries(5);
    await asAttacker(statements, [a.tenantId]);
    const report = await verify(a);
    expect(report.ok).toBe(false);
    expect(kindsOf(report)).toEqual(expect.arrayContaining(expected));
    expect(kindsOf(report)).toHaveLength(expected.length);
  });

  it('a whole log rewritten from an entry on, with its head, is found by a checkpoint alone', async () => {
    const a = await withEntries(5);
    const checkpoint = await a.asAdmin(() => audit.checkpoint());
    const edit = [
      `update tenantry.audit_log set action = 'nothing' where tenant_id = $1 and seq = 3`,
      rechain.replaceAll('TENANT', a.tenantId).replaceAll('FROM', '3'),
    ];
    await asAttacker(edit, [a.tenantId]);
    expect(kindsOf(await verify(a))).toEqual(['checkpoint 5']);
    // they know of the checkpoint, too: the copy outside still tells
    await asAttacker(['delete from tenantry.audit_checkpoints where tenant_id = $1'], [a.tenantId]);
    expect(await verify(a)).toMatchObject({ ok: true });
    expect(kindsOf(await verify(a, [JSON.stringify(checkpoint)]))).toEqual(['checkpoint 5']);
    // and so it does without a database at all
    const lines = await a.asAdmin(() => collect(audit.export()));
    const [outside] = await verifyAuditExport(lines, { checkpoints: [checkpoint!], publicKeys: [publicKey] });
    expect(kindsOf(outside!)).toEqual(['checkpoint 5']);
  });

  it('a tail that was cut off together with the head is found by a checkpoint', async () => {
    const a = await withEntries(5);
    const checkpoint = await a.asAdmin(() => audit.checkpoint());
    await asAttacker(
      [
        'delete from tenantry.audit_log where tenant_id = $1 and seq > 3',
        'delete from tenantry.audit_checkpoints where tenant_id = $1',
        `update tenantry.tenant_heads h set audit_seq = 3, audit_hash = l.hash from tenantry.audit_log l
         where h.tenant_id = $1 and l.tenant_id = $1 and l.seq = 3`,
      ],
      [a.tenantId],
    );
    expect(await verify(a)).toMatchObject({ ok: true, entries: 3 });
    expect(kindsOf(await verify(a, [JSON.stringify(checkpoint)]))).toEqual(['checkpoint 5']);
  });

  it('a forged checkpoint is not believed', async () => {
    const a = await withEntries(2);
    const checkpoint = (await a.asAdmin(() => audit.checkpoint()))!;
    expect(kindsOf(await verify(a, [JSON.stringify({ ...checkpoint, seq: 1 })]))).toEqual(['signature 1']);
    const stranger = createAudit(f.kernel, {
      signingKey: generateKeyPairSync('ed25519').privateKey,
    });
    const theirs = await a.asAdmin(() => stranger.checkpoint());
    expect((await verify(a, [JSON.stringify(theirs)])).checkpoints).toEqual({ verified: 1, unverified: 2 });
  });

  it('signing takes a key, and the message names no part of it', async () => {
    const a = await withEntries(1);
    const none = createAudit(f.kernel);
    await expect(a.asAdmin(() => none.checkpoint())).rejects.toMatchObject({ code: 'TNT_AUDIT_KEY_MISSING' });
    const wrong = createAudit(f.kernel, { signingKey: generateKeyPairSync('x25519').privateKey });
    await expect(a.asAdmin(() => wrong.checkpoint())).rejects.toMatchObject({ code: 'TNT_AUDIT_KEY_MISSING' });
    const damaged = createAudit(f.kernel, { signingKey: signingKey.replace('MC4', 'XXX') });
    await expect(a.asAdmin(() => damaged.checkpoint())).rejects.toThrow(
      /^The private key of the audit log cannot be read as PEM\.$/,
    );
  });
});

describe('reading', () => {
  it('takes audit.read: list, verify, export, checkpoints', async () => {
    const a = await withEntries(1);
    const userId = await a.member();
    await a.as(userId, async () => {
      for (const call of [
        () => audit.verify(),
        () => audit.checkpoint(),
        () => audit.checkpoints(),
        () => collect(audit.export()),
      ]) {
        await expect(call()).rejects.toMatchObject({ code: 'TNT_FORBIDDEN' });
      }
      for (const text of [
        'select * from tenantry.audit_head()',
        'select * from tenantry.tenant_heads',
        'select * from tenantry.audit_pending',
      ]) {
        await expect(f.kernel.query(text), text).rejects.toMatchObject({ code: '42501' });
      }
      expect(await f.kernel.query('select * from tenantry.audit_checkpoints')).toEqual([]);
    });
    const b = await newOrganization(f);
    expect(await b.asAdmin(() => collect(audit.export()))).toEqual([]);
  });

  it('exports JSON Lines that verify without a database, whole or a piece, and CSV', async () => {
    const a = await withEntries(3);
    const checkpoint = (await a.asAdmin(() => audit.checkpoint()))!;
    const lines = await a.asAdmin(() => collect(audit.export()));
    expect(JSON.parse(lines[1]!)).toMatchObject({ seq: 2, action: 'step.2', details: { n: 2, text: 'ünï "q" \\' } });
    const options = { checkpoints: [checkpoint], publicKeys: [publicKey] };
    expect(await verifyAuditExport(lines, options)).toMatchObject([
      { ok: true, entries: 3, checkpoints: { verified: 1 } },
    ]);
    expect((await verifyAuditExport(lines.slice(1)))[0]).toMatchObject({
      ok: false,
      problems: [{ kind: 'gap', seq: 1 }],
    });
    expect((await verifyAuditExport(lines.slice(1), { ...options, piece: true }))[0]).toMatchObject({ ok: true });
    expect((await verifyAuditExport(lines.slice(0, 2), options))[0]).toMatchObject({
      problems: [{ kind: 'checkpoint', seq: 3 }],
    });
    const tampered = lines.with(1, lines[1]!.replace('"n": 2', '"n": 3'));
    expect((await verifyAuditExport(tampered))[0]).toMatchObject({ problems: [{ kind: 'edit', seq: 2 }] });
    expect((await verifyAuditExport([], options))[0]).toMatchObject({ ok: false });
    await expect(verifyAuditExport(['{}'])).rejects.toMatchObject({ code: 'TNT_INPUT_INVALID' });

    await a.asAdmin(() => audit.record({ action: '=cmd', details: { a: 'x,"y"' } }));
    const csv = await a.asAdmin(() => collect(audit.export({ format: 'csv' })));
    expect(csv[0]).toBe('seq,at,id,action,actorPrincipalId,workspaceId,resourceId,requestId,traceId,details,hash');
    expect(csv[4]).toContain(`,'=cmd,`);
    expect(csv[4]).toContain(`"{""a"": ""x,\\""y\\""""}"`);
    // the context is that of the call, wherever the lines are read
    const later = await a.asAdmin(() => [audit.export()]);
    expect(await collect(later[0]!)).toHaveLength(4);
    const since = new Date(Date.now() + 60_000);
    expect(await a.asAdmin(() => collect(audit.export({ from: since })))).toEqual([]);
  });
});
