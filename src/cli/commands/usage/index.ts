import { exportUsage, prune, recount, verify } from './ledger.ts';
import { pushUsage } from './push.ts';
import { alerts, metrics, setMetric, show, top } from './read.ts';

export const usageCommands = [show, top, alerts, metrics, setMetric, exportUsage, pushUsage, verify, recount, prune];
