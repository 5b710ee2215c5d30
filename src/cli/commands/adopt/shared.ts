import {
  type Adopt,
  type AdoptHooks,
  type Classification,
  createAdopt,
  type Phase,
  phases,
} from '../../../adopt/index.ts';
import { assertMigrated } from '../../../database/migrate.ts';
import { TenantryError } from '../../../errors.ts';
import type { CommandInput } from '../../command.ts';

export const planFile = 'tenantry.plan.yaml';
export const fileOption = {
  file: { type: 'string', value: 'FILE', help: `The plan. Defaults to ${planFile}.` },
} as const;

/** Inspecting and planning need nothing of ours in the database; what changes or looks back needs the schema. */
export async function adoptOf(
  input: CommandInput,
  { migrated = true, hooks }: { migrated?: boolean; hooks?: AdoptHooks | undefined } = {},
): Promise<Adopt> {
  const { schema } = await input.config();
  const admin = (await input.database()).admin();
  if (migrated) await assertMigrated(admin, { schema, onWarning: false });
  return createAdopt({ adminPool: admin, schema, ...(hooks === undefined ? {} : { hooks }) });
}

export function phaseOf(text: string | undefined, otherwise: Phase): Phase {
  const phase = text === undefined ? otherwise : phases.find((known) => known === text);
  if (phase === undefined) throw new TenantryError('TNT_USAGE', `--to must be one of: ${phases.join(', ')}.`);
  return phase;
}

export function printClasses({ terminal }: CommandInput, tables: readonly Classification[]): void {
  terminal.table(
    ['table', 'class', 'confidence', 'reason'],
    tables.map((table) => [table.table, table.class, table.confidence, table.reason]),
  );
}

export function size(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < units.length - 1; unit += 1) value /= 1024;
  return `${value >= 10 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit] ?? ''}`;
}
