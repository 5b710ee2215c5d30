import type { ContextScope } from '../context/scope.ts';
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

const names = ['tenantry_context', 'tenantry_context_key'] as const;
const texts = [
  `select where set_config('app.tenant_id', $1, true) is null or set_config('app.user_id', $2, true) is null`,
  `select where set_config('app.tenant_id', $1, true) is null or set_config('app.user_id', $2, true) is null or set_config('app.tenant_key', $3, true) is null`,
] as const;

const writer = new WireWriter();

function valuesOf(scope: ContextScope): string[] {
  const { context } = scope;
  if (context.kind === 'tenant') {
    const values: string[] = [context.tenantId, context.userId ?? ''];
    if (context.tenantKey !== undefined) values.push(context.tenantKey);
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

function tenantPrelude(withKey: 0 | 1): Prelude {
  const name = names[withKey];
  const text = texts[withKey];
  return {
    name,
    text,
    prepared: (scope) => (scope.preparedPrefix ??= write(name, undefined, valuesOf(scope))),
    unnamed: (scope) => (scope.unnamedPrefix ??= write('', text, valuesOf(scope))),
    simple: (scope) => {
      const [tenant = '', user = '', key] = valuesOf(scope);
      const settings = `set local app.tenant_id = ${literal(tenant)}; set local app.user_id = ${literal(user)}; `;
      return key === undefined ? settings : `${settings}set local app.tenant_key = ${literal(key)}; `;
    },
    simpleCount: () => 2 + withKey,
  };
}

const plain = tenantPrelude(0);
const keyed = tenantPrelude(1);

/** The prelude of a tenant's or user's context. */
export function contextPrelude(scope: ContextScope): Prelude {
  return scope.context.kind === 'tenant' && scope.context.tenantKey !== undefined ? keyed : plain;
}
