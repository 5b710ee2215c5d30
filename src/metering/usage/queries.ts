import type { Kernel } from '../../database/kernel.ts';
import type { CountArguments } from './lanes.ts';

/** One transaction for a batch. Empty: all were counted; `!`: open the accounts first; else a letter per event. */
export async function countUsage(kernel: Kernel, batch: CountArguments, fresh: boolean): Promise<string> {
  const rows = await kernel.query<{ answer: string }>(
    `select tenantry.count_usage($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bigint[], $6::int[], $7::text,
       $8::int[], $9::numeric[], $10::text[], $11::boolean) as answer`,
    [...batch, fresh],
  );
  return rows[0]?.answer ?? '';
}

/** Begins the day of these organizations, where theirs is over or never began. */
export async function openUsage(kernel: Kernel, tenants: string): Promise<void> {
  await kernel.query('select tenantry.open_usage($1::uuid[])', [tenants]);
}

export async function correctUsage(
  kernel: Kernel,
  correction: { id: string; eventId: string; quantity: number | string | null; reason: string },
): Promise<string> {
  const rows = await kernel.query<{ answer: string }>(
    'select tenantry.correct_usage($1::text, $2::text, $3::numeric, $4::text) as answer',
    [correction.id, correction.eventId, correction.quantity, correction.reason],
  );
  return rows[0]?.answer ?? '';
}
