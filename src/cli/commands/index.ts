import type { Command } from '../command.ts';
import { migrateCommands } from './migrate.ts';

/** Every command, in the order of the help page. */
export const commands: readonly Command[] = [...migrateCommands];
