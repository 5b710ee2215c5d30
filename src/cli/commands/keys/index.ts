import type { Command } from '../../command.ts';
import { check, pattern, reportLeak, whose } from './look.ts';
import { create, importKeys, rotate } from './make.ts';
import { disable, enable, expire, list, restore, revoke, show } from './manage.ts';

export const keyCommands: readonly Command[] = [
  create,
  list,
  show,
  rotate,
  disable,
  enable,
  expire,
  revoke,
  restore,
  importKeys,
  whose,
  check,
  pattern,
  reportLeak,
];
