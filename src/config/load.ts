import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TenantryError } from '../errors.ts';
import { type Config, parseConfig } from './config.ts';

const names = [
  'tenantry.config.ts',
  'tenantry.config.mts',
  'tenantry.config.js',
  'tenantry.config.mjs',
  'tenantry.config.json',
];

/**
 * Reads `tenantry.config.{ts,mts,js,mjs,json}` of a folder, or the file that is named, and fills it from the environment.
 *
 * @throws TNT_CONFIG_INVALID for a file that is absent, cannot be read or holds a wrong field
 */
export async function loadConfig({ folder = '.', file }: { folder?: string; file?: string } = {}): Promise<Config> {
  const path = file === undefined ? names.map((name) => resolve(folder, name)).find(existsSync) : resolve(folder, file);
  if (path === undefined) return parseConfig({}, process.env, 'environment');
  if (!existsSync(path)) throw new TenantryError('TNT_CONFIG_INVALID', `--config: ${file} does not exist.`);
  return parseConfig(await readModule(path), process.env, path.slice(resolve(folder).length + 1));
}

/** The default export of a file of JavaScript, TypeScript or JSON, by its absolute path; `alias` says what TypeScript's imports mean. */
export async function loadModule(path: string, alias: Record<string, string> = {}): Promise<unknown> {
  if (path.endsWith('.json')) return JSON.parse(await readFile(path, 'utf8')) as unknown;
  if (path.endsWith('ts')) {
    const { createJiti } = await import('jiti'); // Node 20 cannot read TypeScript
    const loaded = await createJiti(path, { alias }).import<{ default?: unknown }>(path);
    return loaded.default ?? loaded;
  }
  return ((await import(pathToFileURL(path).href)) as { default?: unknown }).default;
}

async function readModule(path: string): Promise<unknown> {
  try {
    return await loadModule(path);
  } catch (cause) {
    const said = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    throw new TenantryError('TNT_CONFIG_INVALID', `${path} cannot be read: ${said}`, { cause });
  }
}
