/** What checks find in Tenantry's own schema and is meant so: key, written for the schema `tenantry`, and reason. */
export const kernelExceptions: Readonly<Record<string, string>> = {
  'TD023:tenantry.invitations:invitations_token_hash_key':
    'The token comes before any tenant; it holds 256 random bits, so a collision tells nothing.',
};
