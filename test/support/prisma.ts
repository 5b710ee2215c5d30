import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const require = createRequire(import.meta.url);
const folder = fileURLToPath(new URL('../../.tenantry/test-prisma/', import.meta.url));

/**
 * Generates a client for the schema, once per schema and version of Prisma, into a folder that git ignores.
 *
 * @returns the generated module
 */
export async function generatePrismaClient(schema: URL): Promise<{ PrismaClient: new (options: object) => unknown }> {
  const text = await readFile(schema, 'utf8');
  const prisma = require.resolve('prisma/package.json');
  const { version } = JSON.parse(await readFile(prisma, 'utf8')) as { version: string };
  const generated = join(folder, createHash('sha256').update(`${version}\n${text}`).digest('hex').slice(0, 16));
  if (!existsSync(generated)) {
    const temporary = `${generated}.${randomBytes(4).toString('hex')}`;
    await mkdir(temporary, { recursive: true });
    const output = join(temporary, 'client');
    const schemaFile = join(temporary, 'schema.prisma');
    await writeFile(
      schemaFile,
      text.replace('generator client {', `generator client {\n  output = ${JSON.stringify(output)}`),
    );
    await promisify(execFile)(
      process.execPath,
      [join(dirname(prisma), 'build/index.js'), 'generate', '--schema', schemaFile],
      {
        cwd: temporary,
        env: {
          ...process.env,
          PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', // the schema engine, which generate does not use, would be downloaded
          PRISMA_HIDE_UPDATE_MESSAGE: '1',
          CHECKPOINT_DISABLE: '1',
        },
      },
    );
    // whoever is first wins: both have generated the same
    await rename(output, generated).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOTEMPTY', 'EEXIST'].includes(error.code ?? '')) throw error;
    });
    await rm(temporary, { recursive: true, force: true });
  }
  return (await import(join(generated, 'client.ts'))) as { PrismaClient: new (options: object) => unknown };
}
