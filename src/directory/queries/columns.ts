/** An instant as text with all its microseconds, whatever DateStyle and TimeZone say: for cursors. */
export const instantText = (column: string): string =>
  `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US+00')`;

export const organizationColumns = `o.id, o.number::float8 as number, o.key, o.name, o.slug, o.description, o.kind, o.settings,
  o.data_region as "dataRegion", o.created_at as "createdAt", o.updated_at as "updatedAt"`;

export const userColumns = `u.id, u.number::float8 as number, u.email, u.name, u.created_at as "createdAt", u.updated_at as "updatedAt"`;

export const memberColumns = `m.tenant_id as "tenantId", m.user_id as "userId", u.email, coalesce(m.name, u.name) as name, m.role,
  m.role_id as "roleId", m.gmail_connected as "gmailConnected", m.created_at as "createdAt", m.updated_at as "updatedAt"`;

export const invitationColumns = `i.tenant_id as "tenantId", i.id, i.email, i.role, i.role_id as "roleId", i.invited_by as "invitedBy",
  case when i.accepted_at is not null then 'accepted' when i.revoked_at is not null then 'revoked'
    when i.expires_at <= now() then 'expired' else 'pending' end as status,
  i.expires_at as "expiresAt", i.created_at as "createdAt"`;

export const teamColumns = `t.tenant_id as "tenantId", t.id, t.name, t.slug, t.description, t.created_at as "createdAt", t.updated_at as "updatedAt"`;

export const workspaceColumns = `w.tenant_id as "tenantId", w.id, w.kind, w.name, w.user_id as "userId", w.team_id as "teamId",
  w.editor_principal_id as "editorPrincipalId", w.created_at as "createdAt", w.updated_at as "updatedAt"`;
