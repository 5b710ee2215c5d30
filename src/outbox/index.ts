export { handlerSchedule, type RetrySchedule, webhookSchedule } from './backoff.ts';
export type { AttemptResult, Consumer, Deliverer, Dispatcher, DispatcherOptions } from './dispatcher.ts';
export { createOutbox, type Outbox } from './outbox.ts';
export * from './schema.ts';
export type { NetworkRules } from './webhooks/address.ts';
export { createDeliverer, type WebhookSecrets, type WebhookOptions } from './webhooks/deliverer.ts';
export type { SendOptions } from './webhooks/send.ts';
export {
  memorySeenIds,
  type SeenIds,
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookMessage,
} from './webhooks/verify.ts';
export { createWebhooks, type Webhooks } from './webhooks/webhooks.ts';
