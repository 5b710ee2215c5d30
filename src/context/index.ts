export type { SerializedContext } from './context.ts';
export {
  bindContext,
  currentContext,
  currentTenant,
  restoreContext,
  serializeContext,
  withSystem,
  withTenant,
  withUser,
} from './context.ts';
export { runOutsideContext } from './scope.ts';
export type { Context, SystemContext, TenantContext, TenantId, UserContext, UserId } from './types.ts';
export type { TenantContextInput, UserContextInput } from './validate.ts';
export { tenantIdFrom, userIdFrom } from './validate.ts';
