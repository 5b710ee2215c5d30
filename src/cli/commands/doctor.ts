import { writeFile } from 'node:fs/promises';
import pg from 'pg';
import { TenantryError } from '../../errors.ts';
import {
  createDoctor,
  type DoctorReport,
  exitCodeOf,
  type Level,
  planFixes,
  renderHuman,
  renderSarif,
  runFixes,
} from '../../isolation/doctor/index.ts';
import type { Command, CommandInput } from '../command.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  summary: 'Look through the application’s own login for ways past the policies.',
  description:
    'Exit code 3 when something of --level or graver was found. Known findings: doctor.ignore in tenantry.config.ts.',
  examples: [
    'tenantry doctor',
    'tenantry doctor --level error --json',
    'tenantry doctor --sarif doctor.sarif',
    'tenantry doctor --fix',
  ],
  options: {
    level: {
      type: 'string',
      value: 'LEVEL',
      help: 'Show and fail from this level on: info, warn or error. Defaults to warn for failing, info for showing.',
    },
    only: { type: 'string', value: 'CODE', multiple: true, help: 'Run only this check; may be repeated.' },
    fix: { type: 'boolean', help: 'Repair what is safe to repair without asking, then look again.' },
    sarif: { type: 'string', value: 'FILE', help: 'Also write the findings as SARIF 2.1.0.' },
  },
  async run(input) {
    const { terminal } = input;
    const level = input.option('level');
    if (level !== undefined && level !== 'info' && level !== 'warn' && level !== 'error') {
      throw new TenantryError('TNT_USAGE', '--level must be info, warn or error.');
    }
    const database = await input.database();
    const app = new pg.Pool({ connectionString: database.appUrl, max: 4, application_name: 'tenantry' });
    app.on('error', () => {}); // the next check says that the server is gone
    try {
      let report = await examine(input, app);
      if (input.flag('fix')) {
        const fixes = planFixes(report.findings);
        for (const { statement, error } of await runFixes(database.admin(), fixes)) {
          if (error === undefined) terminal.line(`${terminal.paint('good', 'fixed')} ${statement.purpose}`);
          else terminal.note(`${terminal.paint('bad', 'not fixed')} ${statement.purpose}: ${error.message}`);
        }
        if (fixes.length > 0) report = await examine(input, app);
      }
      const file = input.option('sarif');
      if (file !== undefined) await writeFile(file, `${JSON.stringify(renderSarif(report), null, 2)}\n`);
      print(input, report, level ?? 'info');
      return exitCodeOf(report, level ?? 'warn');
    } finally {
      await app.end();
    }
  },
};

async function examine(input: CommandInput, app: pg.Pool): Promise<DoctorReport> {
  const { schema, doctor, pooler } = await input.config();
  const database = await input.database();
  const only = input.options('only');
  return createDoctor({
    app,
    admin: database.admin(),
    schema,
    pooler,
    ignore: doctor.ignore,
    ...(only.length === 0 ? {} : { only }),
  }).run();
}

function print({ terminal, options }: CommandInput, report: DoctorReport, level: Level): void {
  // who asks for one check wants all of it
  const limit = options('only').length > 0 ? Number.POSITIVE_INFINITY : 10;
  for (const line of renderHuman(report, { level, limit, paint: terminal.paint })) terminal.line(line);
  terminal.result(report);
}
