import type { UserId } from '../context/types.ts';
import type { Kernel } from '../database/kernel.ts';
import { orForbidden } from './forbidden.ts';
import { isText, parseInput } from './input.ts';
import { deleteUser, ensureUser, selectUser, selectUserByEmail, updateUser, userIdByEmail } from './queries/users.ts';
import { isId, type User, type UserCreate, type UserUpdate, userCreate, userUpdate } from './schema.ts';
import { write } from './write-error.ts';

export interface Users {
  /**
   * Sign-up: the id of the user with this address, made when there is none. Call it after the address was proved.
   * Needs no user and no tenant: run it inside withSystem.
   *
   * @throws TNT_INPUT_INVALID
   */
  ensure(input: UserCreate): Promise<UserId>;
  /** Before any context: the id behind an address. */
  idByEmail(email: string): Promise<UserId | null>;
  /** Oneself, or a member of the current tenant. */
  get(id: string): Promise<User | null>;
  getByEmail(email: string): Promise<User | null>;
  /** Oneself alone. @throws TNT_FORBIDDEN */
  update(id: string, input: UserUpdate): Promise<User | null>;
  /** Oneself alone; personal organizations go along. @throws TNT_FORBIDDEN, TNT_LAST_ADMIN, TNT_CONFLICT */
  delete(id: string): Promise<User | null>;
}

export function createUsers(kernel: Kernel): Users {
  return {
    async ensure(input) {
      const { email, name } = parseInput(userCreate, input);
      return write('user', 'create', async () => (await ensureUser(kernel, email, name)) as UserId);
    },
    async idByEmail(email) {
      return isText(email) ? ((await userIdByEmail(kernel, email)) as UserId | null) : null;
    },
    async get(id) {
      return isId(id) ? selectUser(kernel, id) : null;
    },
    async getByEmail(email) {
      return isText(email) ? selectUserByEmail(kernel, email) : null;
    },
    async update(id, input) {
      const { name } = parseInput(userUpdate, input);
      if (!isId(id)) return null;
      if (name === undefined) return selectUser(kernel, id);
      return write('user', 'update', async () =>
        orForbidden(await updateUser(kernel, id, name), () => selectUser(kernel, id), 'user', 'update'),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('user', 'delete', async () =>
        orForbidden(await deleteUser(kernel, id), () => selectUser(kernel, id), 'user', 'delete'),
      );
    },
  };
}
