import type { Kernel } from '../../database/kernel.ts';

export async function emitEvent(
  kernel: Kernel,
  tenantId: string,
  topic: string,
  payload: object,
  key: string | undefined,
): Promise<string> {
  const [row] = await kernel.query<{ id: string }>(
    'select tenantry.emit($1::uuid, $2::text, $3::jsonb, $4::text) as id',
    [tenantId, topic, JSON.stringify(payload), key ?? null],
  );
  return row?.id ?? '';
}
