import { TenantryError } from '../../errors.ts';
import { drizzleTypes } from './drizzle.ts';
import { kyselyTypes } from './kysely.ts';
import { addToPrismaSchema, prismaTypes } from './prisma.ts';
import { type TenantColumn, tableKey } from './tenant-columns.ts';

export const typeFormats = ['drizzle', 'prisma', 'kysely'] as const;
export type TypeFormat = (typeof typeFormats)[number];

export interface TypesOptions {
  readonly format: TypeFormat;
  /** The plan file's text; without it the plan of the adoption that is open. */
  readonly plan?: string;
  /** Prisma: a schema whose models get the field; without it the lines alone are returned. */
  readonly prismaSchema?: string;
}

export interface GeneratedTypes {
  readonly text: string;
  readonly tables: number;
  /** Tables for which a Prisma schema has no model. */
  readonly missing: readonly string[];
}

/** The text of the types for a format. Pure. */
export function generateTypes(
  columns: readonly TenantColumn[],
  { format, prismaSchema }: TypesOptions,
  schema: string,
): GeneratedTypes {
  const answer = (text: string, missing: readonly TenantColumn[] = []): GeneratedTypes => ({
    text,
    tables: columns.length,
    missing: missing.map(tableKey),
  });
  if (format === 'drizzle') return answer(drizzleTypes(columns, schema));
  if (format === 'kysely') return answer(kyselyTypes(columns));
  if (format !== 'prisma') throw new TenantryError('TNT_USAGE', `--format must be one of: ${typeFormats.join(', ')}.`);
  if (prismaSchema === undefined) return answer(prismaTypes(columns, schema));
  const added = addToPrismaSchema(prismaSchema, columns, schema);
  return answer(added.schema, added.missing);
}
