import type { Command } from '../../command.ts';
import { adoptOf } from './shared.ts';

export const statusCommand: Command = {
  name: 'adopt status',
  summary: 'Show how far the adoption is.',
  examples: ['tenantry adopt status', 'tenantry adopt status --json'],
  async run(input) {
    const { terminal } = input;
    const found = await (await adoptOf(input)).status();
    terminal.result(found);
    if (found === null) {
      terminal.line('No adoption yet. Begin with: tenantry adopt inspect');
      return;
    }
    terminal.line(
      `${found.status === 'open' ? found.phase : 'undone'}${found.running ? ', a process is working on it' : ''}, begun ${found.startedAt.toISOString()}`,
    );
    if (found.pausedAt !== null)
      terminal.line(
        `${terminal.paint('warn', 'paused')} since ${found.pausedAt.toISOString()}. Next: tenantry adopt resume`,
      );
    for (const { step, blockers } of found.waiting)
      terminal.line(`${terminal.paint('warn', 'waits')} ${step}: ${blockers.join('; ') || 'blocker gone'}`);
    terminal.table(
      ['phase', 'steps done', 'rows'],
      found.phases.map((phase) => [phase.phase, `${phase.done} of ${phase.steps}`, phase.rows.toLocaleString('en-US')]),
    );
    if (found.hooks.length > 0) {
      terminal.line();
      terminal.table(
        ['hook', 'when', 'ran', 'last'],
        found.hooks.map((hook) => [
          hook.name,
          hook.moment === 'organization' ? 'each organization' : `${hook.moment} ${hook.phase}`,
          String(hook.runs),
          hook.messages.at(-1) ?? '',
        ]),
      );
    }
    for (const { table, rows } of found.quarantine)
      if (rows > 0)
        terminal.line(
          `${terminal.paint('warn', 'quarantine')} ${table}: ${rows.toLocaleString('en-US')} rows without a tenant; only operators see them`,
        );
    for (const { login, organization } of found.legacyLogins)
      terminal.line(`legacy login ${login}: it is ${organization} in every session`);
    if (found.lastError !== null) terminal.line(`${terminal.paint('bad', 'last error')} ${found.lastError}`);
  },
};
