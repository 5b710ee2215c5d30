import { readFile } from 'node:fs/promises';
import type { Adopt, PlanDifference } from '../../../adopt/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { CommandInput } from '../../command.ts';

/** `adopt plan --check [FILE]`: exit code 1 when the committed plan and the database differ. Writes nothing. */
export async function checkCommittedPlan(input: CommandInput, adopt: Adopt, path: string): Promise<number> {
  const { terminal } = input;
  const result = await adopt.check(await readPlan(path));
  terminal.result({ file: path, ...result });
  const { ok, phase, tables, differences } = result;
  for (const one of differences) printDifference(input, path, one);
  const drifted = differences.filter((one) => one.level === 'drift').length;
  const where = phase === null ? 'the database' : `the database (adoption: ${phase})`;
  if (ok) terminal.line(`${terminal.paint('good', 'ok')} ${path} and ${where} agree: ${counted(tables, 'table')}`);
  else terminal.note(`${drifted} difference${drifted === 1 ? '' : 's'} between ${path} and ${where}`);
  return ok ? 0 : 1;
}

function printDifference({ terminal }: CommandInput, path: string, one: PlanDifference): void {
  if (terminal.json) return;
  const label = one.level === 'note' ? terminal.paint('warn', 'note ') : terminal.paint('bad', 'drift');
  terminal.note(`${label} ${path}:${one.line}: ${one.message}`);
  terminal.note(`      ${terminal.paint('dim', 'next:')} ${one.remedy}`);
}

/** `adopt plan --accept`: the database learns what the committed file says about what came after the adoption. */
export async function acceptCommittedPlan({ terminal }: CommandInput, adopt: Adopt, path: string): Promise<number> {
  const accepted = await adopt.accept(await readPlan(path));
  terminal.result({ file: path, accepted });
  for (const { table, columns } of accepted)
    terminal.line(
      `${terminal.paint('good', 'accepted')} ${table ?? ''}${columns.length === 0 ? '' : `(${columns.join(', ')})`}`,
    );
  if (accepted.length === 0) terminal.line('Nothing to accept: tenantry adopt plan --check says what is open.');
  return 0;
}

async function readPlan(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new TenantryError('TNT_USAGE', `The plan ${path} cannot be read.`, {
      hint: 'Make it with: tenantry adopt plan — or name it: --file FILE',
      cause: error,
    });
  }
}
