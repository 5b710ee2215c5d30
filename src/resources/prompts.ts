import { currentTenant } from '../context/context.ts';
import type { Kernel } from '../database/kernel.ts';
import { inserted, orForbidden } from '../directory/forbidden.ts';
import { parseInput } from '../directory/input.ts';
import type { Page } from '../directory/page.ts';
import { isId } from '../directory/schema.ts';
import { write } from '../directory/write-error.ts';
import { insertPrompt, selectPrompt, updatePrompt } from './prompt-queries.ts';
import { deleteResource, updateResource } from './queries.ts';
import { createEnvelope, createResources } from './resources.ts';
import {
  type Prompt,
  type PromptCreate,
  type PromptUpdate,
  promptCreate,
  promptUpdate,
  type Resource,
  type ResourceListOptions,
} from './schema.ts';

/** Prompts: an envelope of type `prompt` and the fields of their own. An adopter's type is built the same way. */
export interface Prompts {
  /** @throws what resources.create throws */
  create(input: PromptCreate): Promise<Prompt>;
  get(id: string): Promise<Prompt | null>;
  /** Envelopes, without the bodies. */
  list(options?: Omit<ResourceListOptions, 'type'>): Promise<Page<Resource>>;
  update(id: string, input: PromptUpdate): Promise<Prompt | null>;
  delete(id: string): Promise<Prompt | null>;
}

export function createPrompts(kernel: Kernel): Prompts {
  const resources = createResources(kernel);
  const tenant = (): string => currentTenant().tenantId;
  return {
    async create(input) {
      const { body, variables, settings, ...envelope } = parseInput(promptCreate, input);
      return write('prompt', 'create', () =>
        kernel.transaction(async (tx) => {
          const { id } = await createEnvelope(tx, { ...envelope, type: 'prompt' });
          await insertPrompt(tx, tenant(), id, { body, variables, settings });
          return inserted(await selectPrompt(tx, tenant(), id), 'prompt');
        }),
      );
    },
    async get(id) {
      return isId(id) ? selectPrompt(kernel, tenant(), id) : null;
    },
    list: (options = {}) => resources.list({ ...options, type: 'prompt' }),
    async update(id, input) {
      const { body, variables, settings, ...envelope } = parseInput(promptUpdate, input);
      if (!isId(id)) return null;
      return write('prompt', 'update', () =>
        kernel.transaction(async (tx) => {
          if ((await selectPrompt(tx, tenant(), id)) === null) return null;
          // own fields first: an envelope moved out of the caller's reach would refuse them
          const own = await updatePrompt(tx, tenant(), id, { body, variables, settings });
          const moved =
            Object.keys(envelope).length === 0 || (await updateResource(tx, tenant(), id, envelope)) !== null;
          const changed = own && moved ? await selectPrompt(tx, tenant(), id) : null;
          return orForbidden(changed, () => selectPrompt(tx, tenant(), id), 'prompt', 'update');
        }),
      );
    },
    async delete(id) {
      if (!isId(id)) return null;
      return write('prompt', 'delete', () =>
        kernel.transaction(async (tx) => {
          const prompt = await selectPrompt(tx, tenant(), id);
          if (prompt === null) return null;
          const gone = (await deleteResource(tx, tenant(), id)) === null ? null : prompt;
          return orForbidden(gone, () => selectPrompt(tx, tenant(), id), 'prompt', 'delete');
        }),
      );
    },
  };
}
