import pg from 'pg';
import type { PoolLike } from '../../src/database/kernel.ts';
import { listMigrations } from '../../src/database/migrations.ts';
import type { DoctorReport } from '../../src/isolation/doctor/index.ts';
import { flawsOf } from '../../src/isolation/doctor/probes/server-version.ts';
import type { CaseDatabase } from './case-database.ts';

/** The same as a case of SQL, for the checks that are code: keys found in the broken state and in the fixed one. */
export type CodeCase = (place: CaseDatabase) => Promise<{ broken: string[]; fixed: string[] }>;

const keysOf = (report: DoctorReport): string[] => report.findings.map(({ key }) => key);

export const codeCases: Readonly<Record<string, CodeCase>> = {
  // a login that may not run what the checks start from: not knowing is a finding
  async TD000(place) {
    const only = ['TD002', 'TD030', 'TD042'];
    await place.run(`revoke execute on function tenantry.protected_tables() from tenantry_app;
      revoke select on tenantry.migrations from tenantry_app`);
    const broken = keysOf(await place.examine({ only }));
    await place.run(`grant execute on function tenantry.protected_tables() to tenantry_app;
      grant select on tenantry.migrations to tenantry_app`);
    return { broken, fixed: keysOf(await place.examine({ only })) };
  },

  // one server process behind two clients, which is what a pooler in transaction mode gives
  async TD037(place) {
    const backend = new pg.Client({ connectionString: place.database.appUrl });
    await backend.connect();
    try {
      const broken = await place.examine({ only: ['TD037'], app: multiplexed(backend) });
      const declared = await place.examine({ only: ['TD037'], app: multiplexed(backend), pooler: 'transaction' });
      const direct = await place.examine({ only: ['TD037'] });
      return { broken: keysOf(broken), fixed: [...keysOf(declared), ...keysOf(direct)] };
    } finally {
      await backend.end();
    }
  },

  async TD038() {
    const keys = (number: number): string[] => flawsOf(number).map(({ key }) => `TD038:${key}`);
    return {
      broken: keys(15_00_02),
      fixed: [...keys(15_00_14), ...keys(16_00_10), ...keys(17_00_06), ...keys(18_00_00)],
    };
  },

  async TD042(place) {
    const examine = async (): Promise<string[]> => keysOf(await place.examine({ only: ['TD042'] }));
    const checksum = listMigrations()[0]?.checksum;
    await place.run(`update tenantry.migrations set checksum = 'edited' where id = 1;
      update tenantry.migrations set id = 9999 where id = 7`);
    const broken = await examine();
    await place.run(`update tenantry.migrations set checksum = '${checksum}' where id = 1;
      update tenantry.migrations set id = 7 where id = 9999`);
    return { broken, fixed: await examine() };
  },

  async TD052(place) {
    const examine = async (): Promise<string[]> => keysOf(await place.examine({ only: ['TD052'] }));
    await place.run(`create policy everybody on tenantry.teams using (true);
      alter policy tenantry_floor on tenantry.roles using (tenant_id = tenantry.current_tenant() or tenantry.current_tenant() is null);
      alter policy tenantry_floor on tenantry.workspaces to tenantry_app;
      alter policy tenantry_access_select on tenantry.invitations rename to renamed`);
    const broken = await examine();
    await place.run(`drop policy everybody on tenantry.teams;
      alter policy tenantry_floor on tenantry.roles using (tenant_id = tenantry.current_tenant());
      alter policy tenantry_floor on tenantry.workspaces to public;
      alter policy renamed on tenantry.invitations rename to tenantry_access_select`);
    return { broken, fixed: await examine() };
  },

  async TD048(place) {
    const ignore = (until: string) => [{ key: 'TD040:nothing', reason: 'temporary tables of the import', until }];
    const examine = async (until: string): Promise<string[]> =>
      keysOf(await place.examine({ only: ['TD048'], ignore: ignore(until), today: '2026-06-30' }));
    return { broken: await examine('2026-06-29'), fixed: await examine('2026-06-30') };
  },
};

/** What each of them must find. */
export const codeCaseKeys: Readonly<Record<string, readonly string[]>> = {
  TD000: ['TD000:TD002', 'TD000:TD030', 'TD000:TD042'],
  TD037: ['TD037:transaction-pooler'],
  TD038: ['CVE-2023-2455', 'CVE-2023-39418', 'CVE-2024-4317', 'CVE-2024-10976', 'CVE-2025-8713'].map(
    (cve) => `TD038:${cve}`,
  ),
  TD042: ['TD042:edited:1', 'TD042:missing:7', 'TD042:newer:9999'],
  TD048: ['TD048:TD040:nothing'],
  TD052: [
    'TD052:tenantry.invitations:renamed',
    'TD052:tenantry.invitations:tenantry_access_select',
    'TD052:tenantry.roles:tenantry_floor',
    'TD052:tenantry.teams:everybody',
    'TD052:tenantry.workspaces:tenantry_floor',
  ],
};

/** A pool whose clients share one connection. */
export function multiplexed(backend: pg.Client): PoolLike {
  const query: PoolLike['query'] = (text, values) =>
    backend.query(text, values === undefined ? undefined : [...values]);
  return { query, connect: async () => ({ query, release() {} }) };
}
