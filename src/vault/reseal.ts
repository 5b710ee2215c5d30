import type { Kernel } from '../database/kernel.ts';
import type { DataKeys, Sealer } from './data-keys.ts';
import type { SealedPlace } from './sealed-columns.ts';

interface SealedRow extends Record<string, unknown> {
  readonly row: string;
  readonly values: string[];
}

/** What became of the values of one place under one data key. */
export interface Resealed {
  readonly sealed: number;
  /** Rows that do not open: they stay as they are, and keep their data key. */
  readonly damaged: readonly string[];
}

/**
 * Seals anew what stands under an old data key, in batches of one statement each. A value that changed meanwhile is left
 * to whoever changed it; killed at any moment, what was done is done and what was not is found again.
 */
export async function resealPlace(
  kernel: Kernel,
  keys: DataKeys,
  place: SealedPlace,
  tenantId: string,
  version: number,
  { batch, onRows }: { readonly batch: number; readonly onRows: (count: number) => void | Promise<void> },
): Promise<Resealed> {
  const damaged: string[] = [];
  let sealed = 0;
  for (;;) {
    const rows = await selectSealed(kernel, place, tenantId, version, damaged, batch);
    if (rows.length === 0) return { sealed, damaged };
    const done = await keys.sealing(tenantId, async (sealer) => {
      const fresh: { row: string; before: string; values: string[] }[] = [];
      for (const { row, values } of rows) {
        const again = await resealRow(keys, sealer, place, tenantId, row, values);
        if (again === undefined) damaged.push(row);
        else fresh.push({ row, before: values.join(' '), values: again });
      }
      return updateSealed(kernel, place, tenantId, fresh);
    });
    sealed += done;
    await onRows(done);
  }
}

async function resealRow(
  keys: DataKeys,
  sealer: Sealer,
  place: SealedPlace,
  tenantId: string,
  row: string,
  values: readonly string[],
): Promise<string[] | undefined> {
  const fresh: string[] = [];
  for (const [index, { binding }] of place.columns.entries()) {
    const bound = binding(row);
    const plain = await keys.open(tenantId, values[index] ?? '', bound).catch((error: unknown) => {
      if ((error as { code?: unknown }).code === 'TNT_SECRET_DAMAGED') return undefined;
      throw error;
    });
    if (plain === undefined) return undefined;
    fresh.push(sealer.seal(plain, bound));
    plain.fill(0);
  }
  return fresh;
}

/** Rows of one organization under one data key, in the order of the index: what is done leaves it. */
async function selectSealed(
  kernel: Kernel,
  { relation, tenant, rowText, dataKey, columns }: SealedPlace,
  tenantId: string,
  version: number,
  without: readonly string[],
  limit: number,
): Promise<SealedRow[]> {
  return kernel.query<SealedRow>(
    `select ${rowText} as "row", array[${columns.map(({ column }) => `x.${column}`).join(', ')}]::text[] as "values" from ${relation} x
     where x.${tenant} = $1::uuid and ${dataKey} = $2::int and ${rowText} <> all ($3::text[]) limit $4::int`,
    [tenantId, version, without, limit],
  );
}

/** How many values of a place do not stand under their organization's current data key. */
export async function countStale(kernel: Kernel, { relation, tenant, dataKey }: SealedPlace): Promise<number> {
  const [row] = await kernel.query<{ stale: number }>(
    `select count(*)::float8 as stale from tenantry.data_keys k join ${relation} x on x.${tenant} = k.tenant_id and ${dataKey} = k.version
     where k.status = 'retired'`,
  );
  return row?.stale ?? 0;
}

/** Every value of a place, for a check that each opens. */
export async function selectAll(
  kernel: Kernel,
  { relation, tenant, rowText, columns }: SealedPlace,
  tenantId: string,
  after: string | undefined,
  limit: number,
): Promise<SealedRow[]> {
  return kernel.query<SealedRow>(
    `select ${rowText} as "row", array[${columns.map(({ column }) => `x.${column}`).join(', ')}]::text[] as "values" from ${relation} x
     where x.${tenant} = $1::uuid and ($2::text is null or ${rowText} collate "C" > $2::text collate "C")
     order by ${rowText} collate "C" limit $3::int`,
    [tenantId, after ?? null, limit],
  );
}

async function updateSealed(
  kernel: Kernel,
  { relation, tenant, rowText, columns }: SealedPlace,
  tenantId: string,
  rows: readonly { readonly row: string; readonly before: string; readonly values: readonly string[] }[],
): Promise<number> {
  if (rows.length === 0) return 0;
  const fresh = columns.map((_, index) => rows.map(({ values }) => values[index]));
  const names = columns.map((_, index) => `v${index}`);
  const before = columns.map(({ column }) => `x.${column}`).join(` || ' ' || `);
  const updated = await kernel.query(
    `update ${relation} x set ${columns.map(({ column }, index) => `${column} = n.v${index}`).join(', ')}
     from unnest($2::text[], $3::text[], ${names.map((_, index) => `$${index + 4}::text[]`).join(', ')}) as n ("row", before, ${names.join(', ')})
     where x.${tenant} = $1::uuid and ${rowText} = n."row" and ${before} = n.before returning 1`,
    [tenantId, rows.map(({ row }) => row), rows.map(({ before: text }) => text), ...fresh],
  );
  return updated.length;
}
