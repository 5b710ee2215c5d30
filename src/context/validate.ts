import { TenantryError } from '../errors.ts';
import type { Context, TenantContext, TenantId, UserContext, UserId } from './types.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const maxKeyLength = 255;

/** Who is asking, as an application writes it: plain strings, checked and branded by withTenant. */
export interface TenantContextInput {
  readonly tenantId: string;
  readonly userId?: string | undefined;
  readonly tenantKey?: string | undefined;
  readonly workspaceId?: string | undefined;
  readonly namespaceId?: string | undefined;
  /** Not together with a user: a key asks for itself. */
  readonly apiKeyId?: string | undefined;
  readonly endUserId?: string | undefined;
}

export interface UserContextInput {
  readonly userId: string;
}

function invalid(field: string, expected: string): TenantryError {
  return new TenantryError('TNT_CONTEXT_INVALID', `${field} is not ${expected}.`, { details: { field } });
}

function uuidField(field: string, value: unknown): string {
  if (typeof value !== 'string' || !uuid.test(value)) throw invalid(field, 'a UUID in its 36-character form');
  return value.toLowerCase();
}

/** @throws TNT_CONTEXT_INVALID */
export function tenantIdFrom(value: unknown): TenantId {
  return uuidField('tenantId', value) as TenantId;
}

/** @throws TNT_CONTEXT_INVALID */
export function userIdFrom(value: unknown): UserId {
  return uuidField('userId', value) as UserId;
}

function tenantKeyFrom(value: unknown): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxKeyLength || hasControlCharacter(value)) {
    throw invalid('tenantKey', `a text of 1 to ${maxKeyLength} characters without control characters`);
  }
  return value;
}

function hasControlCharacter(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32 || code === 127) return true;
  }
  return false;
}

/** @throws TNT_CONTEXT_INVALID naming the field */
export function tenantContextFrom(input: TenantContextInput): TenantContext {
  if (typeof input !== 'object' || input === null) throw invalid('context', 'an object { tenantId, userId }');
  if (input.userId !== undefined && (input.apiKeyId !== undefined || input.endUserId !== undefined)) {
    throw invalid(input.apiKeyId === undefined ? 'endUserId' : 'apiKeyId', 'to be given together with userId');
  }
  return {
    kind: 'tenant',
    tenantId: tenantIdFrom(input.tenantId),
    ...(input.userId === undefined ? {} : { userId: userIdFrom(input.userId) }),
    ...(input.tenantKey === undefined ? {} : { tenantKey: tenantKeyFrom(input.tenantKey) }),
    ...(input.workspaceId === undefined ? {} : { workspaceId: uuidField('workspaceId', input.workspaceId) }),
    ...(input.namespaceId === undefined ? {} : { namespaceId: uuidField('namespaceId', input.namespaceId) }),
    ...(input.apiKeyId === undefined ? {} : { apiKeyId: uuidField('apiKeyId', input.apiKeyId) }),
    ...(input.endUserId === undefined ? {} : { endUserId: uuidField('endUserId', input.endUserId) }),
  };
}

/** @throws TNT_CONTEXT_INVALID naming the field */
export function userContextFrom(input: UserContextInput): UserContext {
  if (typeof input !== 'object' || input === null) throw invalid('context', 'an object { userId }');
  return { kind: 'user', userId: userIdFrom(input.userId) };
}

/** @throws TNT_CONTEXT_INVALID naming the field */
export function contextFrom(input: unknown): Context {
  if (typeof input !== 'object' || input === null || !('kind' in input)) throw invalid('context', 'a saved context');
  const saved = input as Partial<Record<'kind' | 'reason' | keyof TenantContextInput, string>>;
  if (saved.kind === 'tenant') return tenantContextFrom({ ...saved, tenantId: saved.tenantId as string });
  if (saved.kind === 'user') return userContextFrom({ userId: saved.userId as string });
  if (saved.kind === 'system') return { kind: 'system', reason: reasonFrom(saved.reason) };
  throw invalid('kind', "'tenant', 'user' or 'system'");
}

/** @throws TNT_CONTEXT_INVALID */
export function reasonFrom(value: unknown): string {
  if (typeof value !== 'string' || value.trim() === '') throw invalid('reason', 'a text that says why');
  return value;
}
