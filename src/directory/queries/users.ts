import type { Kernel } from '../../database/kernel.ts';
import type { User } from '../schema.ts';
import { userColumns } from './columns.ts';
import { first } from './rows.ts';

export async function ensureUser(kernel: Kernel, email: string, name: string | undefined): Promise<string> {
  const [row] = await kernel.query<{ id: string }>('select tenantry.ensure_user($1::text, $2::text) as id', [
    email,
    name ?? null,
  ]);
  return String(row?.id);
}

export async function userIdByEmail(kernel: Kernel, email: string): Promise<string | null> {
  const [row] = await kernel.query<{ id: string | null }>('select tenantry.user_id_by_email($1::text) as id', [email]);
  return row?.id ?? null;
}

export async function selectUser(kernel: Kernel, id: string): Promise<User | null> {
  return first(await kernel.query<User>(`select ${userColumns} from tenantry.users u where u.id = $1::uuid`, [id]));
}

export async function selectUserByEmail(kernel: Kernel, email: string): Promise<User | null> {
  return first(
    await kernel.query<User>(`select ${userColumns} from tenantry.users u where u.email_key = lower($1::text)`, [
      email,
    ]),
  );
}

export async function updateUser(kernel: Kernel, id: string, name: string | null): Promise<User | null> {
  return first(
    await kernel.query<User>(
      `update tenantry.users u set name = $2::text where u.id = $1::uuid returning ${userColumns}`,
      [id, name],
    ),
  );
}

export async function deleteUser(kernel: Kernel, id: string): Promise<User | null> {
  return first(
    await kernel.query<User>(`delete from tenantry.users u where u.id = $1::uuid returning ${userColumns}`, [id]),
  );
}
