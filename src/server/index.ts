export { type AppOptions, createApp } from './app.ts';
export { listen } from './listen.ts';
export type { VerifyMembership } from './routes/tenancy.ts';
