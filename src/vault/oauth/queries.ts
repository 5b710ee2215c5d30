import type { Kernel } from '../../database/kernel.ts';
import { first } from '../../directory/queries/rows.ts';
import type { OAuthConnection } from './schema.ts';

const connectionColumns = `o.tenant_id as "tenantId", o.id, o.user_id as "userId", o.provider, o.issuer, o.subject, coalesce(o.scopes, '{}') as scopes,
  o.status, o.expires_at as "expiresAt", o.connected_at as "connectedAt", o.refreshed_at as "refreshedAt", o.failures, o.failure,
  o.retry_at as "retryAt", o.created_at as "createdAt", o.updated_at as "updatedAt"`;

/** A connection with its ciphertext and the server's view of the time that is left. */
export interface TokenRow extends Record<string, unknown> {
  readonly connection: OAuthConnection;
  readonly accessToken: string;
  readonly refreshToken: string;
  /** Until the access token expires; below zero when it has. */
  readonly secondsLeft: number;
  /** Until a provider that failed is asked again; zero or below: now. */
  readonly secondsToRetry: number;
}

interface FlatTokenRow extends OAuthConnection {
  [column: string]: unknown;
  accessToken: string;
  refreshToken: string;
  secondsLeft: number;
  secondsToRetry: number;
}

const tokenColumns = `${connectionColumns}, o.access_token as "accessToken", o.refresh_token as "refreshToken",
  extract(epoch from o.expires_at - clock_timestamp())::float8 as "secondsLeft",
  coalesce(extract(epoch from o.retry_at - clock_timestamp()), 0)::float8 as "secondsToRetry"`;

function tokenRow(rows: readonly FlatTokenRow[]): TokenRow | null {
  const [row] = rows;
  if (row === undefined) return null;
  const { accessToken, refreshToken, secondsLeft, secondsToRetry, ...connection } = row;
  return { connection, accessToken, refreshToken, secondsLeft, secondsToRetry };
}

export type Lock = '' | 'for update' | 'for update skip locked';

export async function selectToken(
  kernel: Kernel,
  tenantId: string,
  userId: string,
  provider: string,
  lock: Lock = '',
): Promise<TokenRow | null> {
  return tokenRow(
    await kernel.query<FlatTokenRow>(
      `select ${tokenColumns} from tenantry.oauth_tokens o
       where o.tenant_id = $1::uuid and o.user_id = $2::uuid and o.provider = $3::text ${lock}`,
      [tenantId, userId, provider],
    ),
  );
}

/** Nobody waits for ever, and a server that ends idle transactions does not end this one, which waits for the provider. */
export async function holdLock(tx: Kernel, seconds: number): Promise<void> {
  await tx.query(
    `select set_config('lock_timeout', $1::text, true), set_config('idle_in_transaction_session_timeout', $1::text, true)`,
    [`${Math.ceil(seconds * 1000)}ms`],
  );
}

export async function newId(kernel: Kernel): Promise<string> {
  const [row] = await kernel.query<{ id: string }>('select tenantry.uuidv7() as id');
  return String(row?.id);
}

export interface StoredToken {
  readonly id: string;
  readonly userId: string;
  readonly provider: string;
  readonly issuer: string;
  readonly accessToken: string;
  readonly refreshToken: string;
  readonly expiresInSeconds: number;
  readonly scopes: readonly string[];
  readonly subject: string | null;
}

/** A new connection, or a new consent for the one that is there (whose id the values were sealed for). */
export async function upsertToken(kernel: Kernel, tenantId: string, token: StoredToken): Promise<TokenRow | null> {
  return tokenRow(
    await kernel.query<FlatTokenRow>(
      `insert into tenantry.oauth_tokens as o
         (tenant_id, id, user_id, provider, issuer, access_token, refresh_token, expires_at, scopes, subject)
       values ($1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, $6::text, $7::text,
         clock_timestamp() + make_interval(secs => $8::float8), $9::text[], $10::text)
       on conflict (tenant_id, user_id, provider) do update set issuer = excluded.issuer, access_token = excluded.access_token,
         refresh_token = excluded.refresh_token, expires_at = excluded.expires_at, scopes = excluded.scopes, subject = excluded.subject,
         status = 'active', connected_at = clock_timestamp(), refreshed_at = null, failures = 0, failure = null, retry_at = null
         where o.id = excluded.id
       returning ${tokenColumns}`,
      [
        tenantId,
        token.id,
        token.userId,
        token.provider,
        token.issuer,
        token.accessToken,
        token.refreshToken,
        token.expiresInSeconds,
        token.scopes,
        token.subject,
      ],
    ),
  );
}

/** Only while the row still holds the refresh token that was used: whoever was faster is not overwritten. */
export async function updateRefreshed(
  kernel: Kernel,
  tenantId: string,
  id: string,
  used: string,
  token: Pick<StoredToken, 'accessToken' | 'refreshToken' | 'expiresInSeconds'> & {
    readonly scopes: readonly string[] | undefined;
  },
): Promise<TokenRow | null> {
  return tokenRow(
    await kernel.query<FlatTokenRow>(
      `update tenantry.oauth_tokens o set access_token = $4::text, refresh_token = $5::text,
         expires_at = clock_timestamp() + make_interval(secs => $6::float8), scopes = coalesce($7::text[], o.scopes),
         refreshed_at = clock_timestamp(), failures = 0, failure = null, retry_at = null
       where o.tenant_id = $1::uuid and o.id = $2::uuid and o.refresh_token = $3::text and o.status = 'active'
       returning ${tokenColumns}`,
      [tenantId, id, used, token.accessToken, token.refreshToken, token.expiresInSeconds, token.scopes ?? null],
    ),
  );
}

export async function updateFailed(
  kernel: Kernel,
  tenantId: string,
  id: string,
  used: string,
  failure: string,
  retryInSeconds: number,
): Promise<TokenRow | null> {
  return tokenRow(
    await kernel.query<FlatTokenRow>(
      `update tenantry.oauth_tokens o set failures = o.failures + 1, failure = $4::text,
         retry_at = clock_timestamp() + make_interval(secs => $5::float8)
       where o.tenant_id = $1::uuid and o.id = $2::uuid and o.refresh_token = $3::text returning ${tokenColumns}`,
      [tenantId, id, used, failure, retryInSeconds],
    ),
  );
}

/** With the event that tells of it, once per consent that was lost. */
export async function updateNeedsConsent(
  kernel: Kernel,
  tenantId: string,
  id: string,
  used: string,
  failure: string,
): Promise<boolean> {
  const [row] = await kernel.query<{ emitted: string }>(
    `with lost as (
       update tenantry.oauth_tokens o set status = 'needs_consent', failures = o.failures + 1, failure = $4::text, retry_at = null
       where o.tenant_id = $1::uuid and o.id = $2::uuid and o.refresh_token = $3::text and o.status = 'active'
       returning o.tenant_id, o.id, o.user_id, o.provider, o.connected_at)
     select tenantry.emit(l.tenant_id, 'oauth.needs_consent',
       jsonb_build_object('connectionId', l.id, 'userId', l.user_id, 'provider', l.provider, 'reason', $4::text),
       'oauth.needs_consent/' || l.id || '/' || extract(epoch from l.connected_at)) as emitted from lost l`,
    [tenantId, id, used, failure],
  );
  return row !== undefined;
}

export async function listConnections(kernel: Kernel, tenantId: string, userId: string): Promise<OAuthConnection[]> {
  return kernel.query<OAuthConnection & Record<string, unknown>>(
    `select ${connectionColumns} from tenantry.oauth_tokens o where o.tenant_id = $1::uuid and o.user_id = $2::uuid order by o.provider`,
    [tenantId, userId],
  );
}

export async function deleteToken(kernel: Kernel, tenantId: string, id: string): Promise<void> {
  await kernel.query('delete from tenantry.oauth_tokens o where o.tenant_id = $1::uuid and o.id = $2::uuid', [
    tenantId,
    id,
  ]);
}

export interface NewState {
  readonly id: string;
  readonly userId: string;
  readonly stateHash: Buffer;
  readonly provider: string;
  readonly issuer: string;
  readonly checks: string;
  readonly redirectUri: string;
  readonly returnTo: string | null;
  readonly scopes: readonly string[];
  readonly lifetimeSeconds: number;
}

/** A user has twenty ways open at most: the oldest gives way. */
export async function insertState(kernel: Kernel, tenantId: string, state: NewState): Promise<void> {
  await kernel.query(
    `with gone as (
       delete from tenantry.oauth_states s where s.tenant_id = $1::uuid and s.user_id = $3::uuid
         and (s.expires_at <= clock_timestamp() or s.id not in (
           select n.id from tenantry.oauth_states n where n.tenant_id = $1::uuid and n.user_id = $3::uuid
           order by n.created_at desc limit 19)))
     insert into tenantry.oauth_states
       (tenant_id, id, user_id, state_hash, provider, issuer, checks, redirect_uri, return_to, scopes, expires_at)
     values ($1::uuid, $2::uuid, $3::uuid, $4::bytea, $5::text, $6::text, $7::text, $8::text, $9::text, $10::text[],
       clock_timestamp() + make_interval(secs => $11::float8))`,
    [
      tenantId,
      state.id,
      state.userId,
      state.stateHash,
      state.provider,
      state.issuer,
      state.checks,
      state.redirectUri,
      state.returnTo,
      state.scopes,
      state.lifetimeSeconds,
    ],
  );
}

export interface TakenState extends Record<string, unknown> {
  readonly id: string;
  readonly provider: string;
  readonly issuer: string;
  readonly checks: string;
  readonly redirectUri: string;
  readonly returnTo: string | null;
  readonly scopes: string[];
  readonly live: boolean;
}

/** Takes the row away: of two callbacks with one state, one gets it. */
export async function takeState(
  kernel: Kernel,
  tenantId: string,
  userId: string,
  stateHash: Buffer,
): Promise<TakenState | null> {
  return first(
    await kernel.query<TakenState>(
      `delete from tenantry.oauth_states s where s.state_hash = $3::bytea and s.tenant_id = $1::uuid and s.user_id = $2::uuid
       returning s.id, s.provider, s.issuer, s.checks, s.redirect_uri as "redirectUri", s.return_to as "returnTo", s.scopes,
         s.expires_at > clock_timestamp() as live`,
      [tenantId, userId, stateHash],
    ),
  );
}

export async function stateTenant(kernel: Kernel, stateHash: Buffer): Promise<string | null> {
  const [row] = await kernel.query<{ id: string | null }>('select tenantry.oauth_state_tenant($1::bytea) as id', [
    stateHash,
  ]);
  return row?.id ?? null;
}

export interface NewRevocation {
  readonly id: string;
  readonly userId: string;
  readonly provider: string;
  readonly issuer: string;
  readonly token: string;
}

export async function insertRevocation(kernel: Kernel, tenantId: string, revocation: NewRevocation): Promise<void> {
  await kernel.query(
    `insert into tenantry.oauth_revocations (tenant_id, id, user_id, provider, issuer, token)
     values ($1::uuid, $2::uuid, $3::uuid, $4::text, $5::text, $6::text)`,
    [tenantId, revocation.id, revocation.userId, revocation.provider, revocation.issuer, revocation.token],
  );
}

export interface RevocationRow extends Record<string, unknown> {
  readonly id: string;
  readonly provider: string;
  readonly issuer: string;
  readonly token: string;
  readonly attempts: number;
}

/** Locked, so that two workers do not ask the provider twice; null when another has it or it is done. */
export async function lockRevocation(kernel: Kernel, tenantId: string, id: string): Promise<RevocationRow | null> {
  return first(
    await kernel.query<RevocationRow>(
      `select r.id, r.provider, r.issuer, r.token, r.attempts from tenantry.oauth_revocations r
       where r.tenant_id = $1::uuid and r.id = $2::uuid for update skip locked`,
      [tenantId, id],
    ),
  );
}

export async function deleteRevocation(kernel: Kernel, tenantId: string, id: string): Promise<void> {
  await kernel.query('delete from tenantry.oauth_revocations r where r.tenant_id = $1::uuid and r.id = $2::uuid', [
    tenantId,
    id,
  ]);
}

export async function postponeRevocation(
  kernel: Kernel,
  tenantId: string,
  id: string,
  failure: string,
  retryInSeconds: number,
): Promise<void> {
  await kernel.query(
    `update tenantry.oauth_revocations r set attempts = r.attempts + 1, failure = $3::text,
       next_attempt_at = clock_timestamp() + make_interval(secs => $4::float8)
     where r.tenant_id = $1::uuid and r.id = $2::uuid`,
    [tenantId, id, failure, retryInSeconds],
  );
}
