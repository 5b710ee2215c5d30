import { TenantryError } from '../../errors.ts';

/** What tenantry.count_usage answered for an event that it did not take. */
export function refusalOf(letter: string, { metric }: { readonly metric: string }): TenantryError {
  switch (letter) {
    case 't':
      return new TenantryError('TNT_TENANT_UNKNOWN', 'The organization of the context does not exist.');
    case 'm':
      return new TenantryError('TNT_METRIC_UNKNOWN', `metric: there is no metric "${metric}".`, {
        details: { metric },
      });
    case 'n':
      return new TenantryError('TNT_NOT_FOUND', 'namespaceId: the organization has no such namespace.');
    case 'k':
      return new TenantryError('TNT_NOT_FOUND', 'apiKeyId: the organization has no such API key.');
    case 's':
      return new TenantryError(
        'TNT_INPUT_INVALID',
        `subject: the metric "${metric}" counts subjects, and there is none.`,
      );
    case 'o':
      return new TenantryError(
        'TNT_INPUT_INVALID',
        'occurredAt: lies before what is kept; usage of that time is settled.',
      );
    case 'f':
      return new TenantryError('TNT_INPUT_INVALID', 'occurredAt: lies more than an hour ahead.');
    default:
      return new TenantryError('TNT_CONFLICT', 'id: another event of this organization has this id.', {
        hint: 'Correct an event with usage.amend or usage.retract, or choose an id of its own.',
      });
  }
}
