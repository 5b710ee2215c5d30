import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ensurePrivateFolder, sharedPlace, sharedPlaceOf } from '../../src/database/embedded/private-folder.ts';
import { startEmbedded } from '../../src/database/embedded/server.ts';

const isRoot = process.getuid?.() === 0;
const refused = expect.objectContaining({ code: 'TNT_PRIVILEGE_MISSING' });
let base: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'tenantry-private-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

describe('the embedded server in a place where everybody may write', () => {
  it('makes its folders so that others may look and not write, and takes them again', () => {
    const path = join(base, 'tenantry', 'one');
    for (const _ of [1, 2]) ensurePrivateFolder(path, join(base, 'tenantry'));
    expect(statSync(path).mode & 0o777).toBe(0o755);
    expect(statSync(join(base, 'tenantry')).mode & 0o777).toBe(0o755);
  });

  it('refuses a link, a file and a folder that others may write to, at any depth', () => {
    const from = join(base, 'tenantry');
    symlinkSync(base, from);
    expect(() => ensurePrivateFolder(join(from, 'one'), from)).toThrow(refused);
    rmSync(from);
    mkdirSync(from);
    chmodSync(from, 0o777);
    expect(() => ensurePrivateFolder(join(from, 'one'), from)).toThrow(refused);
    expect(existsSync(join(from, 'one'))).toBe(false);
  });

  it.runIf(isRoot)('refuses a folder that somebody else made first', () => {
    const from = join(base, 'tenantry');
    mkdirSync(from);
    chownSync(from, 65_534, 65_534);
    expect(() => ensurePrivateFolder(join(from, 'one'), from)).toThrow(refused);
  });

  it.runIf(isRoot)('writes no password where a link leads', async () => {
    const [folder, target] = [join(base, 'project'), join(base, 'target')];
    mkdirSync(folder);
    mkdirSync(target);
    ensurePrivateFolder(sharedPlace, sharedPlace);
    symlinkSync(target, sharedPlaceOf(folder));
    try {
      await expect(startEmbedded({ folder })).rejects.toEqual(refused);
      expect(readdirSync(target)).toEqual([]);
    } finally {
      rmSync(sharedPlaceOf(folder));
    }
  });
});
