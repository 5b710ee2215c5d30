import { TenantryError } from '../errors.ts';

export function contextChanged(): TenantryError {
  return new TenantryError(
    'TNT_CONTEXT_CHANGED',
    'This connection has a transaction open that began in another context; nothing was sent.',
  );
}

export function queryReused(): TenantryError {
  return new TenantryError(
    'TNT_QUERY_UNSUPPORTED',
    'This query object was given to a connection before, and keeps the context of that time; nothing was sent.',
    { hint: 'Make a new object for each query.' },
  );
}

export function callRefused(): TenantryError {
  return new TenantryError(
    'TNT_QUERY_UNSUPPORTED',
    'CALL is refused outside of a transaction: a procedure that commits would go on without its tenant.',
    { hint: 'Wrap it in begin and commit if it does not commit by itself, else run it through withoutTenant.' },
  );
}

export function copyNeedsStream(): TenantryError {
  return new TenantryError('TNT_QUERY_UNSUPPORTED', 'COPY … FROM STDIN needs a stream that brings the data.', {
    hint: 'Use from() of pg-copy-streams on a client of this pool, into a temporary table where the target is protected.',
  });
}

export function sessionRefused(leftover: string | undefined): TenantryError {
  return new TenantryError(
    'TNT_QUERY_UNSUPPORTED',
    `Behind a transaction pooler a ${leftover} would stay with whoever gets the server connection next; nothing was sent.`,
    {
      hint: 'Use the form that ends with the transaction (set local, set_config(…, true), pg_advisory_xact_lock), or connect without the pooler.',
    },
  );
}
