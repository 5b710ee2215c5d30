import { withSystem } from '../../context/index.ts';
import type { PoolLike } from '../../database/kernel.ts';
import { type Queryable, renderSchema } from '../../database/sql.ts';
import { checkFiles } from '../../generated/checks.ts';
import {
  type CheckOutcome,
  type CheckRow,
  type DoctorReport,
  docsOf,
  type Finding,
  levels,
  type Suppression,
} from './finding.ts';
import { kernelExceptions } from './kernel-exceptions.ts';
import type { ProbeInput, Skipped } from './probes/probe.ts';
import { identify } from './queries.ts';
import { type Check, checkOf, checks, fileOf } from './registry.ts';
import { applySuppressions } from './suppressions.ts';

export interface DoctorOptions {
  /** The application's own connection; a pool lets doctor open a second one and look for a pooler. */
  readonly app: Queryable | PoolLike;
  /** The migrating login, for the checks of scope `admin`; they are skipped without it. */
  readonly admin?: Queryable;
  /** Defaults to `tenantry`. */
  readonly schema?: string;
  readonly ignore?: readonly Suppression[];
  /** What the configuration says stands between. Defaults to `none`. */
  readonly pooler?: 'none' | 'transaction';
  /** Only these codes. Defaults to all. */
  readonly only?: readonly string[];
  /** Today as YYYY-MM-DD (UTC), against which suppressions expire. */
  readonly today?: string;
}

export interface Doctor {
  /**
   * Runs the checks, one after the other and reading only.
   *
   * @throws TNT_SERVER_UNREACHABLE; what fails in one check is a finding (TD000) and stops no other
   */
  run(): Promise<DoctorReport>;
}

/**
 * Examines a database over the connection that the application uses: what counts is what *that* login can do.
 *
 * @example
 * ```ts
 * import { createDoctor } from 'tenantry';
 *
 * const report = await createDoctor({ app: new pg.Pool({ connectionString: process.env.DATABASE_URL }) }).run();
 * for (const { level, key, detail } of report.findings) console.log(level, key, detail);
 * ```
 */
export function createDoctor(options: DoctorOptions): Doctor {
  return { run: () => withSystem('doctor', () => examine(options)) };
}

async function examine(options: DoctorOptions): Promise<DoctorReport> {
  const { app, schema = 'tenantry', ignore = [], pooler = 'none', only } = options;
  const started = performance.now();
  const { login, version, number, ready } = await identify(app, schema);
  const input: ProbeInput = {
    app,
    schema,
    ready,
    serverNumber: number,
    pooler,
    ...('connect' in app ? { connections: app } : {}),
  };

  const found: Finding[] = [];
  const outcomes: CheckOutcome[] = [];
  for (const check of checks) {
    if (check.scope === 'doctor' || (only !== undefined && !only.includes(check.code))) continue;
    const { code, title } = check;
    try {
      const answer = await runCheck(check, input, options.admin);
      if ('skipped' in answer) {
        outcomes.push({ code, title, outcome: 'skipped', reason: answer.skipped });
        continue;
      }
      const findings = answer.map((row) => toFinding(check, row)).filter(({ key }) => !isKernelException(key, schema));
      found.push(...findings);
      outcomes.push({ code, title, outcome: findings.length > 0 ? 'found' : 'silent' });
    } catch (error) {
      const said = String(error);
      found.push(toFinding(checkOf('TD000'), failure(check, said)));
      outcomes.push({ code, title, outcome: 'skipped', reason: said });
    }
  }

  const today = options.today ?? new Date().toISOString().slice(0, 10);
  const { findings, suppressed } = applySuppressions(found, ignore, today);
  return {
    findings: findings.sort((a, b) => levels.indexOf(b.level) - levels.indexOf(a.level) || compare(a, b)),
    suppressed,
    checks: outcomes,
    server: { version, number },
    login,
    duration: Math.round(performance.now() - started),
  };
}

async function runCheck(
  check: Check,
  input: ProbeInput,
  admin: Queryable | undefined,
): Promise<readonly CheckRow[] | Skipped> {
  if (check.probe !== undefined) return check.probe(input);
  const text = checkFiles[fileOf(check)];
  /* v8 ignore next -- a test holds the registry and the files in step */
  if (text === undefined) throw new Error(`the file of check ${check.code} is not in the package`);
  // without the schema there is no manifest to compare with; TD042 says so
  if (!input.ready && text.includes('tenantry.'))
    return { skipped: `the schema ${input.schema} is missing or outdated` };
  const target = check.scope === 'admin' ? admin : input.app;
  if (target === undefined) return { skipped: 'it needs the migrating login (adminUrl)' };
  return (await target.query<CheckRow & Record<string, unknown>>(renderSchema(text, input.schema))).rows;
}

function toFinding({ code, level }: Check, row: CheckRow): Finding {
  return {
    code,
    level: row.level ?? level,
    key: `${code}:${row.key}`,
    object: row.object,
    detail: row.detail,
    fix: row.fix,
    docs: docsOf(code),
    ...(row.statement === null ? {} : { statement: row.statement }),
  };
}

function failure(check: Check, said: string): CheckRow {
  return {
    object: `check ${check.code}`,
    level: null,
    detail: `"${check.title}" is not known: ${said}`,
    fix: 'Give the login what the message names, then run tenantry doctor again.',
    statement: null,
    key: check.code,
  };
}

function isKernelException(key: string, schema: string): boolean {
  return Object.keys(kernelExceptions).some((known) => renderSchema(known, schema).replaceAll('"', '') === key);
}

const compare = (a: Finding, b: Finding): number => (a.key < b.key ? -1 : 1);
