import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { withUser } from '../../src/context/index.ts';
import { createInvitations, createMembers } from '../../src/directory/index.ts';
import { directoryFixture, newOrganization, newUser, unique } from './fixture.ts';

const f = directoryFixture();

/** Until a session of this database waits for a lock, or long enough that it would. */
async function somebodyWaits(): Promise<void> {
  for (let tries = 0; tries < 40; tries += 1) {
    const waiting = await f.db.query(
      `select 1 from pg_locks l join pg_database d on d.datname = current_database()
       join pg_stat_activity a on a.pid = l.pid and a.datid = d.oid where not l.granted`,
    );
    if (waiting.length > 0) return;
    await sleep(25);
  }
}

describe('D9: two at once, one of them not committed yet', () => {
  it('the second to accept an invitation waits, and is refused', async () => {
    const a = await newOrganization(f);
    const email = `${unique('race')}@example.com`;
    const { token } = await a.asAdmin(() => f.invitations.create({ email }));
    const userId = await newUser(f, email);
    let second: Promise<unknown> | undefined;
    await withUser({ userId }, () =>
      f.kernel.transaction(async (tx) => {
        await createInvitations(tx).accept(token);
        second = withUser({ userId }, () => f.invitations.accept(token)).catch((error: unknown) => error);
        await somebodyWaits();
      }),
    );
    expect(await second).toMatchObject({ code: 'TNT_CONFLICT' });
  });

  it('of two administrators who demote each other the second waits, and is refused', async () => {
    const a = await newOrganization(f);
    const other = await a.member('admin');
    let second: Promise<unknown> | undefined;
    await a.asAdmin(() =>
      f.kernel.transaction(async (tx) => {
        await createMembers(tx).update(other, { role: 'member' });
        second = a.as(other, () => f.members.update(a.adminId, { role: 'member' })).catch((error: unknown) => error);
        await somebodyWaits();
      }),
    );
    expect(await second).toMatchObject({ code: 'TNT_LAST_ADMIN' });
  });
});
