import { describe, expect, it } from 'vitest';
import type { TableDeclaration } from './declaration.ts';
import { createPolicy, policiesOf, replacePolicies } from './policy.ts';

const orders: TableDeclaration = { schema: 'public', table: 'orders', column: 'tenant_id', key: { kind: 'uuid' } };
const texts = (declaration: TableDeclaration, mode: 'shadow' | 'enforced') =>
  policiesOf(declaration, { mode }).map((policy) => createPolicy(declaration, policy).text);

describe('the text of the policies', () => {
  it('enforced: a restrictive floor to public, unwrapped, and an access policy', () => {
    expect(texts(orders, 'enforced')).toEqual([
      'create policy "tenantry_floor" on "public"."orders" as restrictive for all to public using ("tenant_id" = tenantry.current_tenant()) with check ("tenant_id" = tenantry.current_tenant())',
      'create policy "tenantry_access" on "public"."orders" as permissive for all to public using (true) with check (true)',
    ]);
  });

  it('enforced with a key and an owner rule', () => {
    const declaration: TableDeclaration = {
      ...orders,
      column: 'account "id"',
      key: { kind: 'key', type: 'bigint' },
      owner: { column: 'user_id', readAll: "it's" },
    };
    const rows = `("user_id" is null or "user_id" = (select tenantry.current_user_id()) or (select tenantry.caller_can('it''s')))`;
    expect(texts(declaration, 'enforced').slice(0, 2)).toEqual([
      'create policy "tenantry_floor" on "public"."orders" as restrictive for all to public using ("account ""id""" = tenantry.current_tenant_key()::bigint) with check ("account ""id""" = tenantry.current_tenant_key()::bigint)',
      `create policy "tenantry_rows" on "public"."orders" as restrictive for all to public using (${rows}) with check (${rows})`,
    ]);
  });

  it('shadow: one policy per command, wrapped inside a CASE that lets everything through', () => {
    const counted = (letter: string) =>
      `case when "tenant_id" = (select tenantry.context_tenant()) then true when (select tenantry.shadow_without_context('"public"."orders"'::pg_catalog.regclass, '${letter}')) then true else tenantry.shadow_miss('"public"."orders"'::pg_catalog.regclass, '${letter}') end`;
    expect(texts(orders, 'shadow')).toEqual([
      `create policy "tenantry_shadow_select" on "public"."orders" as restrictive for select to public using (${counted('r')})`,
      `create policy "tenantry_shadow_insert" on "public"."orders" as restrictive for insert to public with check (${counted('i')})`,
      `create policy "tenantry_shadow_update" on "public"."orders" as restrictive for update to public using (${counted('u')}) with check (${counted('w')})`,
      `create policy "tenantry_shadow_delete" on "public"."orders" as restrictive for delete to public using (${counted('d')})`,
      'create policy "tenantry_access" on "public"."orders" as permissive for all to public using (true) with check (true)',
    ]);
  });

  it('shadow with an owner rule asks for both; a partition is counted as its root', () => {
    const declaration: TableDeclaration = { ...orders, owner: { column: 'user_id' } };
    const [select] = policiesOf(declaration, { mode: 'shadow', countedAs: { schema: 'public', table: 'root' } });
    expect(select?.using).toContain(
      '"tenant_id" = (select tenantry.context_tenant()) and ("user_id" is null or "user_id" = (select tenantry.current_user_id())) then true',
    );
    expect(select?.using).toContain(`'"public"."root"'::pg_catalog.regclass`);
  });

  it('replaces by name, and names roles', () => {
    const policy = { name: 'a', permissive: true, command: 'select', roles: ['Web App'], using: 'true' } as const;
    expect(replacePolicies(orders, [policy], ['a', 'b']).map(({ text }) => text)).toEqual([
      'drop policy if exists "a" on "public"."orders"',
      'drop policy if exists "b" on "public"."orders"',
      'create policy "a" on "public"."orders" as permissive for select to "Web App" using (true)',
    ]);
  });
});
