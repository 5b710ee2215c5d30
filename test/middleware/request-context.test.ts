import { describe, expect, it } from 'vitest';
import { membership, subdomain, verifyRequest } from '../../src/adapters/request-context.ts';
import { currentContext } from '../../src/context/index.ts';
import { TenantryError } from '../../src/errors.ts';
import { codesOf, failure } from '../conformance/errors.ts';

const tenantId = '00000000-0000-7000-8000-00000000000a';
const otherId = '00000000-0000-7000-8000-00000000000b';
const userId = '00000000-0000-7000-8000-0000000000aa';
const verify = async () => ({ tenantId, userId });
const identify = () => ({ tenant: tenantId, userId });

describe('the context of a request', () => {
  it('takes from authorize what it may add, and nothing else', async () => {
    const authorize = () => ({ tenantKey: '42', workspaceId: otherId, tenantId: otherId });
    const { run } = await verifyRequest({}, { identify, verify, authorize });
    const context = { kind: 'tenant', tenantId, userId, tenantKey: '42', workspaceId: otherId };
    expect(await run(() => currentContext())).toEqual(context);
  });

  it('keeps what verify knows', async () => {
    const known = async () => ({ tenantId, tenantKey: '7' });
    const { run } = await verifyRequest({}, { identify, verify: known, authorize: () => ({ workspaceId: otherId }) });
    expect(await run(() => currentContext())).toEqual({
      kind: 'tenant',
      tenantId,
      tenantKey: '7',
      workspaceId: otherId,
    });
  });

  it('is refused to a caller of whom identify says nothing', async () => {
    const error = await failure(verifyRequest({}, { identify: () => undefined, verify }));
    expect(codesOf(error)).toEqual(['TNT_UNAUTHENTICATED']);
  });

  it('is the same refusal for every claim that does not hold, and shows other failures as they are', async () => {
    const attempt = (thrown: Error): Promise<unknown> =>
      failure(
        verifyRequest(
          {},
          {
            identify,
            verify: async () => {
              throw thrown;
            },
          },
        ),
      );
    const unknown = await attempt(new TenantryError('TNT_TENANT_UNKNOWN', 'There is no such organization.'));
    const foreign = await attempt(new TenantryError('TNT_NOT_A_MEMBER', 'Not a member of Acme.'));
    expect(JSON.stringify(unknown)).toBe(JSON.stringify(foreign));
    expect((unknown as Error).message).toBe((foreign as Error).message);
    const down = new TenantryError('TNT_SERVER_UNREACHABLE', 'The server does not answer.');
    expect(await attempt(down)).toBe(down);
  });

  it('needs organizations to look a slug up', async () => {
    const members = { verify };
    expect(codesOf(await failure(membership({ members })({ userId, tenant: 'acme' })))).toContain('TNT_NOT_A_MEMBER');
    expect(await membership({ members })({ userId, tenant: tenantId })).toEqual({ tenantId, userId });
  });

  it('reads a slug from the host name', () => {
    const slugs = [
      'acme.example.com',
      'ACME.Example.com:443',
      'example.com',
      'a.b.example.com',
      'acme.example.org',
      'evil-example.com',
      '.example.com',
      undefined,
    ];
    expect(slugs.map((host) => subdomain(host, 'example.com'))).toEqual(['acme', 'acme', ...Array.from({ length: 6 })]);
  });
});
