import type { Command } from '../../command.ts';
import { adoptOf, size } from './shared.ts';

export const inspectCommand: Command = {
  name: 'adopt inspect',
  summary: 'Look at an existing database: tables, sizes, what hangs on what, likely tenants.',
  description: 'Reads the catalogue, and samples of columns that look like references. Changes nothing.',
  examples: ['tenantry adopt inspect', 'tenantry adopt inspect --json > inspection.json'],
  async run(input) {
    const { terminal } = input;
    const { inspection, roots, references } = await (await adoptOf(input, { migrated: false })).inspect();
    terminal.table(
      ['table', 'rows (estimate)', 'size', 'keys to', 'owner'],
      inspection.tables.map((table) => [
        table.name,
        table.rows < 0 ? 'unknown' : table.rows.toLocaleString('en-US'),
        size(table.bytes),
        [...new Set(inspection.foreignKeys.filter((key) => key.table === table.name).map((key) => key.parent))].join(
          ', ',
        ) || '-',
        table.owner,
      ]),
    );
    terminal.line();
    terminal.line(
      roots.length === 0
        ? 'No table has others hanging on it: use --constant NAME for one organization.'
        : 'Likely tenants, best first:',
    );
    for (const root of roots) {
      terminal.line(`  ${terminal.paint('bold', root.table)} (${Math.round(root.score)} of 100)`);
      for (const reason of root.reasons) terminal.line(`    ${reason}`);
    }
    if (roots.length > 0)
      terminal.line('  None of them, and one customer so far: tenantry adopt plan --constant "System Tenant"');
    if (references.length > 0) {
      terminal.line('\nColumns that look like references, although no constraint says so:');
      terminal.table(
        ['from', 'to', 'confidence', 'reason'],
        references.map(({ from, to, confidence, reason }) => [
          from,
          typeof to === 'string'
            ? to
            : Object.entries(to)
                .map(([value, table]) => `${value}: ${table}`)
                .join(', '),
          confidence,
          reason,
        ]),
      );
    }
    if (roots[0] !== undefined) terminal.line(`\nNext: tenantry adopt plan --root ${roots[0].table}`);
    terminal.result({ inspection, roots, references });
  },
};
