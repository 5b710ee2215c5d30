/** A row as PostgreSQL returns it. */
export type Row = Record<string, unknown>;

/** The part of a `pg` pool or client that Tenantry needs; typed by shape, so that any copy of `pg` fits. */
export interface Queryable {
  query<R extends Row = Row>(
    text: string,
    values?: readonly unknown[],
  ): Promise<{ rows: R[]; rowCount: number | null }>;
}

/** One statement as data: what decides returns these, one runner executes them. */
export interface Statement {
  readonly text: string;
  /** What it does, in words: shown by `--sql` as a comment and in errors. */
  readonly purpose: string;
  /** True for what PostgreSQL refuses in a transaction block (CREATE INDEX CONCURRENTLY …). */
  readonly outsideTransaction?: boolean;
}

/** Quotes an identifier (PostgreSQL docs, "Identifiers and Key Words"). */
export function ident(name: string): string {
  if (name.includes('\0')) throw new TypeError('an identifier cannot contain a zero byte');
  return `"${name.replaceAll('"', '""')}"`;
}

/** `schema.name`, both quoted. */
export function qualifiedName(schema: string, name: string): string {
  return `${ident(schema)}.${ident(name)}`;
}

/** A string constant that is safe whatever `standard_conforming_strings` says. */
export function literal(value: string): string {
  if (value.includes('\0')) throw new TypeError('a string constant cannot contain a zero byte');
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

const schemaToken = /\btenantry\.(?=[a-z_"])|\b(schema (?:if (?:not )?exists )?)tenantry\b/g;

/** Our SQL is written for the schema `tenantry`; for another name this replaces the token `tenantry.` and `schema tenantry`. */
export function renderSchema(text: string, schema: string): string {
  if (schema === 'tenantry') return text;
  return text.replace(schemaToken, (_, keyword: string | undefined) =>
    keyword === undefined ? `${ident(schema)}.` : `${keyword}${ident(schema)}`,
  );
}
