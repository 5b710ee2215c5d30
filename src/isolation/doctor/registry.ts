import type { Level } from './finding.ts';
import { kernelPoliciesProbe } from './probes/kernel-policies.ts';
import { migrationsDrift } from './probes/migrations.ts';
import { pooler } from './probes/pooler.ts';
import type { Probe } from './probes/probe.ts';
import { serverVersion } from './probes/server-version.ts';

/** One check of doctor. A row may be graver or milder than its check. */
export interface Check {
  /** `TD` and three digits; never used again for something else. */
  readonly code: string;
  readonly name: string;
  readonly level: Level;
  readonly title: string;
  /** `app`: asked over the application's connection. `admin`: needs the migrating login. `doctor`: about the run itself. */
  readonly scope: 'app' | 'admin' | 'doctor';
  /** A live probe, for what one statement cannot tell; otherwise `sql/checks/<number>-<name>.sql` is the check. */
  readonly probe?: Probe;
}

type Options = Pick<Partial<Check>, 'scope' | 'probe'>;

const check = (number: number, level: Level, name: string, title: string, options: Options = {}): Check => ({
  code: `TD${String(number).padStart(3, '0')}`,
  name,
  level,
  title,
  scope: 'app',
  ...options,
});

/** Every check, once, by code. A test holds it, the SQL files, the pages and the examples in step. */
export const checks: readonly Check[] = [
  check(0, 'error', 'check-failed', 'A check could not run', { scope: 'doctor' }),

  // who asks
  check(1, 'error', 'login-can-bypass', 'The login itself is above row-level security'),
  check(2, 'error', 'set-role-path', 'The login can become a role that is above row-level security'),
  check(3, 'error', 'predefined-role', 'The login holds a predefined role that reads, writes or runs past the grants'),
  check(4, 'error', 'login-owns-table', 'The login owns a protected table'),

  // the tables and their policies
  check(5, 'error', 'row-security-differs', 'Row-level security of a table is not as its mode says'),
  check(6, 'warn', 'manifest-table-missing', 'A table of the manifest does not exist'),
  check(7, 'error', 'floor-policy', 'The tenant floor of a protected table is missing or altered'),
  check(8, 'warn', 'no-policy', 'Row-level security without any policy hides every row'),
  check(9, 'error', 'policies-dormant', 'Policies are written but row-level security is off'),
  check(10, 'error', 'open-policy', 'A permissive policy lets everybody in and no floor holds'),

  // ways around the policies
  check(
    11,
    'error',
    'view-runs-as-owner',
    'A view reads a protected table with the rights of an owner above the policies',
  ),
  check(12, 'error', 'materialized-view', 'A materialized view keeps the rows of every tenant'),
  check(13, 'warn', 'definer-function', 'The login can run a function with the rights of a role above the policies'),
  check(14, 'error', 'definer-search-path', 'A SECURITY DEFINER function looks names up where others can put objects'),
  check(15, 'warn', 'rewrite-rule', "A rewrite rule acts on a protected table with its owner's rights"),
  check(
    16,
    'error',
    'instead-of-trigger',
    'An INSTEAD OF trigger writes through a view with rights above the policies',
  ),
  check(17, 'error', 'child-table-reachable', 'A partition or child of a protected table can be read directly'),
  check(18, 'error', 'unfiltered-grant', 'A privilege that policies do not filter: TRUNCATE, REFERENCES, TRIGGER'),
  check(19, 'warn', 'foreign-table', 'A foreign table cannot carry policies'),
  check(20, 'warn', 'publication', 'A publication sends the rows of every tenant'),
  check(21, 'warn', 'logical-slot', 'A logical slot streams the changes of every tenant'),
  check(22, 'warn', 'sequence-readable', 'A sequence tells every tenant how much all of them write'),

  // keys and columns
  check(23, 'warn', 'unique-without-tenant', 'A UNIQUE over all tenants tells one of them what another has'),
  check(24, 'warn', 'foreign-key-without-tenant', 'A foreign key can point at a row of another tenant'),
  check(
    25,
    'warn',
    'cascade-across-tenants',
    'Deleting a row reaches the rows of another tenant, or takes their tenant away',
  ),
  check(26, 'warn', 'foreign-key-without-index', 'A foreign key has no index'),
  check(27, 'warn', 'default-reads-session', 'A column default reads the session itself'),
  check(28, 'error', 'immutable-reads-session', 'An IMMUTABLE function reads the session'),

  // what policies cost
  check(29, 'warn', 'policy-function-per-row', 'A policy calls a function for every row'),
  check(30, 'warn', 'tenant-column-not-indexed', 'The tenant column leads no index'),
  check(31, 'warn', 'policy-casts-column', 'A policy casts the column instead of the constant'),
  check(32, 'info', 'operator-not-leakproof', 'An index that policies make unusable'),
  check(33, 'warn', 'tenant-column-nullable', 'Rows without a tenant are possible'),
  check(34, 'warn', 'never-analyzed', 'The planner has no statistics of a protected table'),
  check(35, 'info', 'statistics-miss-tenants', 'Tenants joined since the statistics were made', { scope: 'admin' }),

  // the session and the server
  check(36, 'error', 'left-over-setting', 'A setting is there before any context'),
  check(37, 'error', 'pooler', 'A pooler shares connections and session settings bleed', { probe: pooler }),
  check(38, 'warn', 'server-version', 'The server has known flaws in row-level security', { probe: serverVersion }),

  // what the manifest, the roles and the schema leave open
  check(39, 'error', 'unclassified-table', "A table that looks like a tenant's is not in the manifest"),
  check(40, 'warn', 'temporary-privilege', 'The login may create temporary tables'),
  check(41, 'error', 'schema-create', 'The login may create objects where names are looked up'),
  check(42, 'error', 'migrations-drift', "Tenantry's schema is not the one of this version", {
    probe: migrationsDrift,
  }),
  check(43, 'warn', 'default-privileges', 'Tables made later will be open by default'),
  check(44, 'info', 'statistics-role', 'The login sees what the sessions of other tenants do'),
  check(45, 'warn', 'owner-can-log-in', 'The owner of protected tables can log in'),
  check(46, 'error', 'kernel-function-altered', 'A function that the policies call is not as Tenantry made it'),
  check(47, 'info', 'login-outside-group', 'Another login uses protected tables without being of the application'),
  check(48, 'warn', 'suppression-expired', 'A suppression is past its last day', { scope: 'doctor' }),
  check(49, 'warn', 'dblink', 'The login can open connections from the database'),
  check(50, 'warn', 'large-objects', 'Large objects are open to every tenant'),
  check(51, 'info', 'not-enforced', 'A protected table is not enforced yet'),
  check(52, 'error', 'kernel-policy-altered', "A policy of Tenantry's own tables is not as it was made", {
    probe: kernelPoliciesProbe,
  }),

  // after an adoption
  check(53, 'warn', 'unclassified-since-adoption', 'A table came after the adoption and nobody classified it'),
  check(54, 'warn', 'foreign-key-since-adoption', 'A foreign key to rows of tenants came after the adoption'),
  check(55, 'warn', 'foreign-key-of-plan-missing', 'A foreign key that a tenant comes by is gone'),
  check(56, 'error', 'fill-trigger-missing', 'A trigger that keeps the tenants of an adopted table right is off'),
  check(57, 'warn', 'legacy-login', 'A login has a tenant without a context, and not as it was declared'),
  check(58, 'info', 'rows-in-quarantine', 'Rows of an adopted table wait without a tenant'),
  check(59, 'warn', 'memberships-missed', 'Changes of old memberships could not be followed'),
];

/** @throws for a code that is not in the registry: a fault of ours */
export function checkOf(code: string): Check {
  const found = checks.find((candidate) => candidate.code === code);
  /* v8 ignore next -- callers name codes of the registry */
  if (found === undefined) throw new Error(`doctor has no check ${code}`);
  return found;
}

/** The file of a check in `sql/checks/`, where it has one: neither probes do nor what the run itself finds. */
export function fileOf({ code, name }: Check): string {
  return `${code.slice(2)}-${name}.sql`;
}
