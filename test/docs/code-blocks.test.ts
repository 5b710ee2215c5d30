import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { fileSchema } from '../../src/adopt/plan-file/schema.ts';
import { commands } from '../../src/cli/commands/index.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const pages = [
  'README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md') && !name.startsWith('checks/') && !name.startsWith('decisions/'))
    .map((name) => `docs/${name}`),
];
const blocks = pages.flatMap((page) =>
  [...readFileSync(join(root, page), 'utf8').matchAll(/^```(\w+)\n([\s\S]*?)^```/gm)].map((match, index) => ({
    page,
    index,
    language: match[1]!,
    text: match[2]!,
  })),
);

/** What a page's blocks may use without declaring it; a block's own declaration shadows it. */
const ambient = `import type { Tenantry, TenantPool } from 'tenantry';
declare global {
  const pool: TenantPool;
  const t: Tenantry;
  const tenantId: string;
  const otherTenantId: string;
  const userId: string;
}
`;

/** What Prisma would generate. */
const generated = `declare module '*/generated/prisma/client.ts' {
  export class PrismaClient {
    constructor(options: { adapter: object });
  }
}
`;

describe('code blocks of README and docs', () => {
  const folder = join(root, '.tenantry-docs-check');
  beforeAll(() => mkdirSync(folder, { recursive: true }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('in TypeScript pass the compiler against the public API', () => {
    const files: string[] = [];
    for (const { page, index, text } of blocks.filter(({ language }) => language === 'ts')) {
      const name = `${page.replaceAll(/[^\w]/g, '_')}_${index}.ts`;
      writeFileSync(join(folder, name), `export {};\n${text}`);
      files.push(name);
    }
    writeFileSync(join(folder, 'ambient.d.ts'), ambient);
    writeFileSync(join(folder, 'generated.d.ts'), generated);
    const exported = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      exports: Record<string, { types?: string }>;
    };
    const paths = Object.fromEntries(
      Object.entries(exported.exports).flatMap(([name, { types }]) =>
        types === undefined
          ? []
          : [[`tenantry${name.slice(1)}`, [types.replace('./dist/', '../src/').replace('.d.ts', '.ts')]]],
      ),
    );
    writeFileSync(
      join(folder, 'tsconfig.json'),
      JSON.stringify({
        extends: '../tsconfig.json',
        compilerOptions: { paths, noUnusedLocals: false, exactOptionalPropertyTypes: true },
        include: ['*.ts', '../examples/**/*.ts'],
        exclude: [],
      }),
    );
    try {
      execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
        encoding: 'utf8',
      });
    } catch (error) {
      expect.fail((error as { stdout: string }).stdout.split('\n').slice(0, 20).join('\n'));
    }
    expect(files.length).toBeGreaterThan(0);
  });

  it('of plans are read as a plan', () => {
    const plans = blocks.filter(({ page, language }) => page === 'docs/guides/adopt.md' && language === 'yaml');
    expect(plans.length).toBeGreaterThan(4);
    for (const { text } of plans) {
      const part = parse(text) as Record<string, unknown>;
      const rooted = 'root' in part || 'constant' in part;
      const whole = { version: 1, ...(rooted ? {} : { root: { table: 'public.shops' } }), ...part };
      expect(fileSchema.safeParse(whole).error?.issues ?? [], text).toEqual([]);
    }
  });

  it('in the shell name commands and options that exist', () => {
    for (const { page, text } of blocks.filter(({ language }) => language === 'sh')) {
      for (const line of text.split('\n')) {
        const words = /(?<!install)(?:^|\s)tenantry((?: [a-z][a-z-]*)+)/.exec(line)?.[1]?.trim().split(' ');
        if (words === undefined || line.trim().startsWith('#')) continue;
        const command = commands.find(({ name }) => name === words.slice(0, name.split(' ').length).join(' '));
        expect(command, `${page}: ${line}`).toBeDefined();
        for (const [, option] of line.matchAll(/\s--([a-z-]+)/g)) {
          const known = [...Object.keys(command!.options ?? {}), 'help', 'json', 'config', 'database-url'];
          expect(known, `${page}: ${line}`).toContain(option);
        }
      }
    }
  });
});
