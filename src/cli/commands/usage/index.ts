import { exportUsage, prune, recount, verify } from './ledger.ts';
import { alerts, metrics, setMetric, show, top } from './read.ts';

export const usageCommands = [show, top, alerts, metrics, setMetric, exportUsage, verify, recount, prune];
