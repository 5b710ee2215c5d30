import { readBytes, readMaxLag, readWindow, type RunOptions } from '../../../adopt/index.ts';
import { TenantryError } from '../../../errors.ts';
import type { CommandInput } from '../../command.ts';

/** What holds a run back, as options of `adopt run`. */
export const paceOptions = {
  'max-rate': { type: 'string', value: 'ROWS', help: 'At most this many rows a second in the backfill.' },
  'max-wal': { type: 'string', value: 'SIZE', help: 'At most this much write-ahead log a second, as 20MB.' },
  'max-lag': {
    type: 'string',
    value: 'LAG',
    help: 'Wait while a replica is further behind: 5s, 16MB or off. Defaults to 10s.',
  },
  nice: {
    type: 'string',
    value: 'N',
    help: 'While others work in the database, rest N times the length of each batch. Defaults to 1; 0 never gives way.',
  },
  window: { type: 'string', value: 'HOURS', help: 'Work inside these hours only, as 22:00-06:00.' },
  'time-zone': { type: 'string', value: 'NAME', help: 'Of --window. Defaults to the server’s.' },
  parallel: { type: 'string', value: 'N', help: 'Tables that are filled at once. Defaults to 2.' },
  resume: { type: 'boolean', help: 'Go on although the adoption was paused.' },
} as const;

export function paceOf(input: CommandInput): RunOptions {
  const maxRate = input.number('max-rate');
  const parallel = input.number('parallel');
  const nice = input.number('nice');
  const wal = input.option('max-wal');
  const lag = input.option('max-lag');
  const window = input.option('window');
  const zone = input.option('time-zone');
  const maxWal = wal === undefined ? undefined : readBytes(wal);
  if (wal !== undefined && maxWal === undefined)
    throw new TenantryError('TNT_USAGE', '--max-wal must be a size per second, as 20MB.');
  for (const [name, value] of Object.entries({ 'max-rate': maxRate, 'max-wal': maxWal, parallel })) {
    if (value !== undefined && value < 1) throw new TenantryError('TNT_USAGE', `--${name} must be 1 or more.`);
  }
  if (zone !== undefined && window === undefined)
    throw new TenantryError('TNT_USAGE', '--time-zone says where the hours of --window are: give both.');
  return {
    ...(maxRate === undefined ? {} : { maxRate }),
    ...(maxWal === undefined ? {} : { maxWal }),
    ...(nice === undefined ? {} : { nice }),
    ...(lag === undefined ? {} : { maxLag: readMaxLag(lag) }),
    ...(window === undefined ? {} : { window: readWindow(window, zone) }),
    ...(parallel === undefined ? {} : { parallel: Math.floor(parallel) }),
    ...(input.flag('resume') ? { resume: true } : {}),
  };
}
