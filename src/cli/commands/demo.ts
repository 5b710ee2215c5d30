import pg from 'pg';
import { createAdopt, describeConflict } from '../../adopt/index.ts';
import type { Command, CommandInput } from '../command.ts';
import { count, createNarrator } from '../demo/narrator.ts';
import { buildShop, openStage } from '../demo/prepare.ts';
import { type StoryNumbers, tellStory } from '../demo/story.ts';
import { writeEnvironmentFile } from '../environment-file.ts';

export const demoCommand: Command = {
  name: 'demo',
  summary: 'The main job: a single-tenant shop becomes multi-tenant while its application runs.',
  description:
    'On the embedded PostgreSQL, with a generated shop. With --database-url: looks at your database, shows the plan and\n' +
    'changes nothing.',
  examples: [
    'tenantry demo',
    'tenantry demo --rows 1000000',
    'tenantry demo --keep',
    'tenantry demo --database-url postgresql://owner@localhost/app',
  ],
  options: {
    rows: { type: 'string', value: 'N', help: 'Rows of the sample, at least. Defaults to 200000.' },
    seed: { type: 'string', value: 'N', help: 'The same number gives the same rows. Defaults to 1.' },
    folder: { type: 'string', value: 'DIR', help: 'Folder of the embedded server. Defaults to .tenantry.' },
    port: { type: 'string', value: 'PORT', help: 'Port of the embedded server. Defaults to a free one.' },
    keep: { type: 'boolean', help: 'Leave the server running, and write its URLs to demo.env in the folder.' },
  },
  async run(input) {
    if (input.option('database-url') !== undefined) return lookOnly(input);
    const { terminal, signal } = input;
    const tell = createNarrator(terminal);
    terminal.line(`${terminal.paint('bold', 'Tenantry')}: a single-tenant database becomes multi-tenant, live.`);
    tell.chapter('A database, and a shop that was built for one company');
    const database = await openStage(input.option('folder') ?? '.tenantry', input.number('port'));
    let finished = false;
    try {
      const stage = await buildShop(database, input.number('rows') ?? 200_000, input.number('seed') ?? 1);
      tell.say(`PostgreSQL on 127.0.0.1:${database.server.port}, in ${database.server.folder}`);
      tell.say(
        `${count(stage.shop.rows)} rows in ${Object.keys(stage.shop.byTable).length} tables, ${stage.shop.shops} shops, and no column that says whose a row is.`,
      );
      const numbers = await tellStory(terminal, tell, stage, signal);
      finished = true;
      conclude(input, numbers);
      if (input.flag('keep')) await keep(input, database);
      terminal.result(numbers);
      return numbers.failedStatements === 0 && numbers.lostWrites === 0 ? 0 : 1;
    } finally {
      if (!(finished && input.flag('keep'))) await database.server.stop();
    }
  },
};

function conclude({ terminal }: CommandInput, numbers: StoryNumbers): void {
  const rows: [string, string][] = [
    ['rows', count(numbers.rows)],
    ['tables enforced', String(numbers.tables)],
    ['organizations', String(numbers.organizations)],
    ['seconds', numbers.seconds.toFixed(1)],
    ['statements of the workload', count(numbers.statements)],
    ['failed statements', String(numbers.failedStatements)],
    ['committed writes lost', String(numbers.lostWrites)],
    ['longest lock wait', `${numbers.longestLockWaitMs} ms`],
    ['violations found in shadow', String(numbers.violationsFound)],
  ];
  terminal.line();
  terminal.line(terminal.paint('bold', 'Done.'));
  for (const [name, value] of rows) terminal.line(`   ${name.padEnd(28)} ${value}`);
  terminal.line();
  terminal.line('Next:');
  terminal.line('   npm start -- --database-url postgresql://…   look at a database of yours; nothing is changed');
  terminal.line('   npm start -- --keep                          leave the server running and look around');
  terminal.line('   docs/getting-started.md                      from an empty folder');
}

async function keep({ terminal }: CommandInput, database: Awaited<ReturnType<typeof openStage>>): Promise<void> {
  const file = await writeEnvironmentFile(database.server.folder, 'demo.env', database);
  terminal.line();
  terminal.line(`The server keeps running on 127.0.0.1:${database.server.port}. Its URLs are in ${file}:`);
  terminal.line(`   set -a; . ${file}; set +a`);
  terminal.line('   node dist/cli/main.js isolation status');
  terminal.line('The next npm start takes it over and stops it.');
}

/** One's own database: what would be done, and not one change. */
async function lookOnly(input: CommandInput): Promise<number> {
  const { terminal } = input;
  const tell = createNarrator(terminal);
  const { adminUrl } = await input.database();
  const pool = new pg.Pool({
    connectionString: adminUrl,
    max: 4,
    application_name: 'tenantry',
    connectionTimeoutMillis: 15_000,
  });
  pool.on('error', () => {});
  try {
    const adopt = createAdopt({ adminPool: pool });
    tell.chapter('What is there');
    const { inspection, roots } = await adopt.inspect();
    tell.say(
      `${inspection.database}: ${inspection.tables.length} tables, ${inspection.foreignKeys.length} foreign keys.`,
    );
    for (const root of roots.slice(0, 3))
      tell.say(`possible tenant: ${root.table} (${Math.round(root.score)} of 100): ${root.reasons.join('; ')}`);
    const root = roots[0];
    tell.chapter(
      root === undefined ? 'The plan with one organization for every row' : `The plan with ${root.table} as the tenant`,
    );
    const { plan, conflicts } = await adopt.plan(
      root === undefined ? { constant: 'System Tenant' } : { root: root.table },
    );
    for (const table of plan.tables)
      tell.fact(table.table, `${table.class.padEnd(9)} ${terminal.paint('dim', table.reason)}`);
    tell.say(`${plan.steps.length} steps over ${plan.order.length} tables.`);
    for (const conflict of conflicts) tell.bad(describeConflict(conflict));
    terminal.line();
    terminal.line('Nothing was changed. Next:');
    terminal.line(
      `   tenantry adopt plan ${root === undefined ? '--constant "System Tenant"' : `--root ${root.table}`}   write tenantry.plan.yaml and decide what is undecided`,
    );
    terminal.line('   tenantry adopt plan --sql                     every statement of every phase');
    terminal.line('   tenantry adopt run --to shadow                carry it out, without enforcing');
    terminal.result({ roots, plan, conflicts });
    return conflicts.length > 0 || plan.tables.some((table) => table.class === 'undecided') ? 3 : 0;
  } finally {
    await pool.end();
  }
}
