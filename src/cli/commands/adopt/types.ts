import { readFile, writeFile } from 'node:fs/promises';
import { typeFormats } from '../../../adopt/index.ts';
import { counted } from '../../../counted.ts';
import { TenantryError } from '../../../errors.ts';
import type { Command } from '../../command.ts';
import { adoptOf, fileOption, planFile } from './shared.ts';

export const typesCommand: Command = {
  name: 'adopt types',
  summary: 'Print the types of the new columns for Drizzle, Prisma or Kysely.',
  description:
    'From the plan file, or from the adoption that is open when there is none. Reads only. The columns need not be named by\n' +
    'inserts: the database fills them, and the types say so.',
  examples: [
    'tenantry adopt types --format drizzle --out src/tenant-columns.ts',
    'tenantry adopt types --format kysely --out src/tenant-columns.ts',
    'tenantry adopt types --format prisma --schema prisma/schema.prisma --out prisma/schema.prisma',
  ],
  options: {
    ...fileOption,
    format: { type: 'string', value: 'FORMAT', help: `One of: ${typeFormats.join(', ')}.` },
    schema: { type: 'string', value: 'FILE', help: 'Prisma: the schema whose models get the field.' },
    out: { type: 'string', value: 'FILE', help: 'Write there. Defaults to standard output.' },
  },
  async run(input) {
    const { terminal } = input;
    const format = typeFormats.find((one) => one === input.option('format'));
    if (format === undefined)
      throw new TenantryError('TNT_USAGE', `--format must be one of: ${typeFormats.join(', ')}.`);
    const given = input.option('file');
    const plan = await readFile(given ?? planFile, 'utf8').catch((error: unknown) => {
      if (given === undefined) return undefined;
      throw new TenantryError('TNT_USAGE', `The plan ${given} cannot be read.`, { cause: error });
    });
    const schemaFile = input.option('schema');
    const prismaSchema =
      schemaFile === undefined
        ? undefined
        : await readFile(schemaFile, 'utf8').catch((error: unknown) => {
            throw new TenantryError('TNT_USAGE', `The schema ${schemaFile} cannot be read.`, { cause: error });
          });
    const adopt = await adoptOf(input, { migrated: false });
    const result = await adopt.types({
      format,
      ...(plan === undefined ? {} : { plan }),
      ...(prismaSchema === undefined ? {} : { prismaSchema }),
    });
    const out = input.option('out');
    terminal.result({ ...result, out: out ?? null });
    for (const table of result.missing) terminal.note(`${terminal.paint('warn', 'no model')} for ${table}`);
    if (out === undefined) {
      terminal.line(result.text.trimEnd());
      return;
    }
    await writeFile(out, result.text);
    terminal.line(`${terminal.paint('good', 'wrote')} ${out}: the tenant column of ${counted(result.tables, 'table')}`);
  },
};
