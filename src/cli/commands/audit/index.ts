import { checkpoint, exportLog, list, maintain, retain } from './log.ts';
import { verify } from './verify.ts';
import { unwatch, watch, watched } from './watch.ts';

export const auditCommands = [list, verify, checkpoint, exportLog, retain, maintain, watch, unwatch, watched];
