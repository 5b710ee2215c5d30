import type { Command } from '../../command.ts';
import { classifyCommand } from './classify.ts';
import { contractCommand } from './contract.ts';
import { hooksCommand } from './hooks.ts';
import { inspectCommand } from './inspect.ts';
import { legacyLoginCommand } from './legacy-login.ts';
import { pauseCommand, resumeCommand } from './pause.ts';
import { planCommand } from './plan.ts';
import { releaseCommand } from './release.ts';
import { runCommand } from './run.ts';
import { statusCommand } from './status.ts';
import { typesCommand } from './types.ts';
import { undoCommand } from './undo.ts';
import { verifyCommand } from './verify.ts';

/** `tenantry adopt …`: one file per subcommand. */
export const adoptCommands: readonly Command[] = [
  inspectCommand,
  classifyCommand,
  planCommand,
  runCommand,
  statusCommand,
  verifyCommand,
  releaseCommand,
  pauseCommand,
  resumeCommand,
  contractCommand,
  undoCommand,
  typesCommand,
  hooksCommand,
  legacyLoginCommand,
];
