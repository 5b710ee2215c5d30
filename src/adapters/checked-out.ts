export interface ClientLike {
  release(error?: Error | boolean): void;
}

/**
 * One borrowing of a client that can be given back once. ORMs that give a connection back twice would otherwise give
 * back somebody else's, who has borrowed it in between.
 */
export function checkedOut<C extends ClientLike>(
  client: C,
  replace: (release: ClientLike['release']) => Partial<C> = () => ({}),
): C {
  let released = false;
  const release = (error?: Error | boolean): void => {
    if (released) return;
    released = true;
    client.release(error);
  };
  return substitute(client, { ...replace(release), release });
}

/** The same object to every eye, with some members replaced. */
export function substitute<T extends object>(object: T, replaced: Partial<T>): T {
  const bound = new Map<PropertyKey, unknown>();
  return new Proxy(object, {
    get(target, property) {
      if (Object.hasOwn(replaced, property)) return Reflect.get(replaced, property);
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function' || property === 'constructor') return value;
      // private members are found on the object itself alone
      if (!bound.has(property)) bound.set(property, value.bind(target));
      return bound.get(property);
    },
  });
}
