import type { ContextScope } from '../context/scope.ts';
import type { TenantContext } from '../context/types.ts';
import { WireWriter } from './wire.ts';

/**
 * The statement that tells the server who asks. It returns no row (set_config never returns null), and its
 * settings end with the transaction.
 */
export interface Prelude {
  readonly name: string;
  readonly text: string;
  /** Bind and Execute of the prepared statement. */
  prepared(scope: ContextScope): Buffer;
  /** Parse, Bind and Execute without a name. */
  unnamed(scope: ContextScope): Buffer;
  /** The same as SET LOCAL, for texts that only the simple protocol can carry. Takes no snapshot. */
  simple(scope: ContextScope): string;
  /** How many statements `simple` is. */
  simpleCount(scope: ContextScope): number;
}

const names = ['tenantry_context', 'tenantry_context_key', 'tenantry_context_request'] as const;
const requestSettings = ['app.tenant_key', 'app.namespace_id', 'app.api_key_id', 'app.end_user_id'] as const;
const texts = [
  `select where set_config('app.tenant_id', $1, true) is null or set_config('app.user_id', $2, true) is null`,
  `select where set_config('app.tenant_id', $1, true) is null or set_config('app.user_id', $2, true) is null or set_config('app.tenant_key', $3, true) is null`,
  `select where set_config('app.tenant_id', $1, true) is null or set_config('app.user_id', $2, true) is null or ${requestSettings
    .map((name, i) => `set_config('${name}', $${i + 3}, true) is null`)
    .join(' or ')}`,
] as const;

const writer = new WireWriter();

function valuesOf(scope: ContextScope): string[] {
  const { context } = scope;
  if (context.kind === 'tenant') {
    const values: string[] = [context.tenantId, context.userId ?? ''];
    if (namesRequest(context)) {
      const { tenantKey = '', namespaceId = '', apiKeyId = '', endUserId = '' } = context;
      values.push(tenantKey, namespaceId, apiKeyId, endUserId);
    } else if (context.tenantKey !== undefined) values.push(context.tenantKey);
    return values;
  }
  return ['', context.kind === 'user' ? context.userId : ''];
}

function write(name: string, text: string | undefined, values: readonly string[]): Buffer {
  if (text !== undefined) writer.parse(name, text);
  writer.bind(name, values);
  writer.execute();
  // kept as long as the context: a slice would hold the whole slab
  return Buffer.from(writer.take());
}

/** A literal of SET. The values are UUIDs, or a key whose control characters were refused when it was built. */
function literal(value: string): string {
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

function tenantPrelude(variant: 0 | 1 | 2): Prelude {
  const name = names[variant];
  const text = texts[variant];
  const more = requestSettings.slice(0, [0, 1, requestSettings.length][variant]);
  return {
    name,
    text,
    prepared: (scope) => (scope.preparedPrefix ??= write(name, undefined, valuesOf(scope))),
    unnamed: (scope) => (scope.unnamedPrefix ??= write('', text, valuesOf(scope))),
    simple: (scope) => {
      const [tenant = '', user = '', ...others] = valuesOf(scope);
      const settings = `set local app.tenant_id = ${literal(tenant)}; set local app.user_id = ${literal(user)}; `;
      return settings + more.map((name, i) => `set local ${name} = ${literal(others[i] ?? '')}; `).join('');
    },
    simpleCount: () => 2 + more.length,
  };
}

const plain = tenantPrelude(0);
const keyed = tenantPrelude(1);
const requested = tenantPrelude(2);

/** Whether a context says more than who and where: a namespace, a key, an end user. */
function namesRequest({ namespaceId, apiKeyId, endUserId }: TenantContext): boolean {
  return namespaceId !== undefined || apiKeyId !== undefined || endUserId !== undefined;
}

/** The prelude of a tenant's or user's context. */
export function contextPrelude(scope: ContextScope): Prelude {
  const { context } = scope;
  if (context.kind !== 'tenant') return plain;
  if (namesRequest(context)) return requested;
  return context.tenantKey === undefined ? plain : keyed;
}
