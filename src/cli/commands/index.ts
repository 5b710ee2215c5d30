import type { Command } from '../command.ts';
import { adoptCommands } from './adopt/index.ts';
import { auditCommands } from './audit/index.ts';
import { invoiceCommands } from './billing/invoices.ts';
import { planCommands } from './billing/plans.ts';
import { databaseCommand } from './database.ts';
import { demoCommand } from './demo.ts';
import { doctorCommand } from './doctor.ts';
import { explainCommand } from './explain.ts';
import { initCommand } from './init.ts';
import { isolationCommands } from './isolation.ts';
import { keyCommands } from './keys/index.ts';
import { limitCommands } from './limits.ts';
import { migrateCommands } from './migrate.ts';
import { namespaceCommands } from './namespaces.ts';
import { organizationCommands } from './organizations.ts';
import { protectCommand } from './protect.ts';
import { seedCommand } from './seed.ts';
import { serveCommand } from './serve.ts';
import { usageCommands } from './usage/index.ts';
import { vaultCommands } from './vault/index.ts';
import { webhookCommands } from './webhooks/index.ts';

/** Every command, in the order of the help page. */
export const commands: readonly Command[] = [
  initCommand,
  databaseCommand,
  ...migrateCommands,
  seedCommand,
  ...organizationCommands,
  protectCommand,
  ...isolationCommands,
  explainCommand,
  ...adoptCommands,
  ...namespaceCommands,
  ...keyCommands,
  ...usageCommands,
  ...limitCommands,
  ...planCommands,
  ...invoiceCommands,
  ...vaultCommands,
  ...webhookCommands,
  ...auditCommands,
  doctorCommand,
  serveCommand,
  demoCommand,
];
