import { describe, expect, it } from 'vitest';
import { tenantry } from '../support/command-line.ts';

const secret = 'hunter2';
const url = `postgresql://u:${secret}@127.0.0.1:1/x`;

describe('a password on the command line is not repeated', () => {
  it.each([
    [url],
    ['doctor', url],
    ['adopt', 'plan', url],
    ['doctor', `--${url}`],
    ['doctor', '--database-url', url],
    ['doctor', '--database-url', url.replace('postgresql', 'mysql')],
    ['doctor', '--database-url', `postgresql://u:${secret}/x@127.0.0.1:1/x`],
    ['doctor', '--database-url', `postgresql://u:${secret}@[bad/x`],
    ['doctor', '--database-url', `${url}?sslmode=verify-full&sslrootcert=/nope`],
    ['doctor', '--database-url', `postgresql://u@127.0.0.1:1/x?password=${secret}`],
    ['doctor', '--config', url],
    ['adopt', 'status', '--database-url', url],
  ])('%s %s %s', async (...argv) => {
    for (const more of [[], ['--json']]) {
      const { code, out, err } = await tenantry([...argv, ...more], { TENANTRY_DEBUG: '1' });
      expect(code).not.toBe(0);
      expect(out + err).not.toContain(secret);
    }
  });
});
